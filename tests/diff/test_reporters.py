"""A diff in words and in every format; the answer comes first."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest
from msgspec.structs import replace

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.observations import SlowSlot
from dpprof.evidence.evidence import STEP_TIME, Evidence
from dpprof.reporters.diff.memory_and_theory import memory_section
from dpprof.reporters.diff.render import DIFF_FORMATS, diff_document, render_diff
from dpprof.reporters.diff.sentences import answer, signed_bytes
from dpprof.runs.manifest import RankPlace

_MS = 1_000_000


def _run(make_run, event, compute, transfer, *, steps=1, **fields):
    """Ranks that compute so long (ms), the transfers of all exposed behind it."""
    rows = []
    for step in range(steps):
        for rank, length in enumerate(compute):
            start = 1000 * _MS * step
            middle = start + length * _MS
            end = middle + transfer * _MS + step
            rows.append(event(rank, start, middle, step=step, name="gemm_64x64_nn"))
            ready = {"ready_ns": middle, "name": "a|b<i>", "step": step}
            rows.append(event(rank, middle, end, "dispatch", **ready))
    return make_run(rows, used_steps=tuple(range(steps)), **fields)


def test_the_answer_says_how_much_what_of_and_who(make_run, event):
    base = _run(make_run, event, [100] * 4, 10, name="old")
    diff = diff_runs(base, _run(make_run, event, [100, 100, 130, 100], 20, name="new"))
    assert list(answer(diff)) == [
        "new is 40.00 ms (36.4%) slower per step than old: 110.00 -> 150.00 ms; significance n/a, "
        "one step in BASE and NEW: its spread is not known; profile several steps",
        "made up of bubble +22.50 ms (cooldown +22.50), exposed +10.00 ms (dispatch +10.00), "
        "computing +7.50 ms",
        "rank 2 stands out: computing +30.00 ms, the others 0.00 ms",
    ]


@pytest.mark.parametrize("side", ["BASE", "NEW"])
def test_without_evidence_for_the_step_time_no_change_is_claimed(make_run, event, side):
    lost = Evidence("lost-kernels", 3, 9, (0,), STEP_TIME, "rank0.json: 3 of 9 launches")
    lacking = {one: (lost,) if one == side else () for one in ("BASE", "NEW")}
    base = _run(make_run, event, [100] * 4, 10, name="old", evidence=lacking["BASE"])
    new = _run(make_run, event, [130] * 4, 10, name="new", evidence=lacking["NEW"])
    (said,) = answer(diff_runs(base, new))
    assert said.startswith("whether new is faster or slower than old cannot be told: ")
    assert f"the step time of {side} is missing" in said


def test_no_change_is_said_so(make_run, event):
    run = _run(make_run, event, [100], 10, steps=3)
    text = render_diff(diff_runs(run, run), "table")
    assert "NEW takes as long per step as BASE: 110.00 ms\n" in text
    assert "n.s.: not significant" in text
    assert "intervals: from the steps, and by how much such runs are taken to differ" in text


def test_a_change_within_the_spread_is_not_significant(make_run, event):
    def run(*lengths):
        rows = [
            event(0, 1000 * step, 1000 * step + length, step=step, name="work")
            for step, length in enumerate(lengths)
        ]
        return make_run(rows, used_steps=tuple(range(len(lengths))))

    diff = diff_runs(run(100, 120, 110), run(104, 125, 107))
    words = r"slower per step .*; not significant \(95 % interval -\d"
    assert re.search(words, next(answer(diff)))


def test_runs_of_hardly_anything_are_rendered(make_run, event):
    places = [RankPlace(rank=rank, pp_rank=rank, stages=[rank]) for rank in (0, 1)]
    runs = [
        make_run([event(0, 0, 10, name="an idle rank 1")], places=places),
        make_run([event(0, 0, 10, "dispatch"), event(1, 0, 12, "p2p", name="recv")], places=places),
        make_run([event(0, 0, 10, "memory"), event(1, 3, 9, "memory", name="x")], places=places),
        make_run([event(0, 5, 5), event(1, 5, 5, "dispatch")], places=places),
        make_run([event(0, 0, 4 * 10**18), event(1, 0, 10)], places=places),
    ]
    for base, new in zip(runs, [*runs[1:], runs[0]], strict=True):
        diff = diff_runs(base, new)
        assert diff.time.new_ns == 2 * diff.new.step_ns
        for format in DIFF_FORMATS:
            assert render_diff(diff, format)


@pytest.fixture(scope="module")
def hostile(make_run, event):
    """Names that formats would take for their own."""
    base = _run(make_run, event, [10, 20], 10, name="<b>a|b`\n</b>", steps=2)
    return diff_runs(base, _run(make_run, event, [30, 25], 5, name="n&w", steps=2))


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_page_without_scripts(hostile):
    page = render_diff(hostile, "html")
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.isdisjoint({"script", "link", "img", "iframe", "b>a"})
    assert page.startswith("<!doctype html>")
    assert "&lt;b&gt;a|b`" in page
    assert "n&amp;w" in page
    assert "<td" in page
    assert "&nbsp;&nbsp;computing" in page


def test_markdown_keeps_its_tables(hostile):
    lines = render_diff(hostile, "markdown").splitlines()
    assert lines[0] == "# \\<b>a\\|b\\` \\</b> -> n&w"
    tables = [line for line in lines if line.startswith("|")]
    assert tables
    columns = {line.count("|") - line.count("\\|") for line in tables}
    assert columns <= set(range(3, 12))
    assert any(line.startswith("| &nbsp;&nbsp;computing |") for line in lines)
    bold = next(line for line in lines if line.startswith("**"))
    assert "per step than" in bold


def test_tables_fit_their_width_and_ascii_is_enough(sample_diff):
    text = render_diff(sample_diff, "table", width=100)
    assert max(map(len, text.splitlines())) <= 100
    narrow = render_diff(sample_diff, "table", width=80, unicode=False)
    assert narrow.isascii()
    assert "\x1b[" not in text
    assert "\x1b[" in render_diff(sample_diff, "table", color=True)


def test_the_answer_stands_within_the_first_screen(sample_diff):
    lines = render_diff(sample_diff, "table").splitlines()
    answered = next(number for number, line in enumerate(lines) if "faster per step than" in line)
    assert answered < 10
    assert any(line.startswith("step  ") for line in lines[:30])
    assert "EMULATED" in "\n".join(lines[:5])


def test_what_is_not_known_is_left_out_with_its_reason(make_run, event):
    run = _run(make_run, event, [10], 5)
    document = diff_document(diff_runs(run, run), 100)
    titles = [block.title for block in document.blocks]
    assert not any("promise" in title or "memory" in title.lower() for title in titles)
    step = document.blocks[0]
    assert step.notes == (
        "exposed: communication alone; overlap: computing that hides communication; bubble: idle",
        "intervals: n/a, one step in BASE and NEW: its spread is not known; profile several steps",
    )


def test_slots_are_told_by_stage_and_micro_batch(sample_diff):
    text = render_diff(sample_diff, "table")
    assert re.search(
        r"F, stage \d, mb \d +F0\.\d \(rank \d\) +F[01]\.\d&B[01]\.\d \(rank \d\)", text
    )


def test_slots_of_unknown_place_are_no_table(sample_diff):
    """A cell would list all slots of the run."""
    rows = [replace(row, stage=None, micro_batch=None) for row in sample_diff.slots.rows]
    diff = replace(sample_diff, slots=replace(sample_diff.slots, rows=rows))
    titles = [block.title for block in diff_document(diff, 100).blocks]
    assert not any(title.startswith("Slots") for title in titles)
    many = replace(
        sample_diff.slots.rows[0], micro_batch=None, new_slot="F0.0, F0.1, F0.2, F0.3, F0.4"
    )
    diff = replace(sample_diff, slots=replace(sample_diff.slots, rows=[many]))
    assert "F0.0, F0.1, F0.2, ... F0.4 (rank" in render_diff(diff, "markdown")


def test_whose_peak_it_is_is_said_as_far_as_it_is_known(sample_diff):
    def title(base, new):
        memory = replace(sample_diff.memory, base_rank=base, new_rank=new)
        return memory_section(replace(sample_diff, memory=memory)).title

    assert title(0, 2) == "Largest memory peak (rank 0 -> rank 2)"
    assert title(1, 1) == "Largest memory peak (rank 1)"
    assert title(1, None) == "Largest memory peak (rank 1 -> n/a)"
    assert signed_bytes(0) == "0"


def test_json_is_the_diff(sample_diff):
    text = render_diff(sample_diff, "json")
    assert msgspec.json.decode(text, type=type(sample_diff)) == sample_diff
    assert msgspec.json.decode(text)["schema_version"] == 2


@pytest.mark.parametrize("format", DIFF_FORMATS)
def test_every_format_renders_ranks_that_do_not_correspond(make_run, event, format):
    places = [RankPlace(rank=0, pp_rank=0, stages=[0])]
    base = _run(make_run, event, [10], 5, places=places, world_size=1)
    diff = diff_runs(base, _run(make_run, event, [10, 20], 5, world_size=2))
    assert diff.ranks == []
    assert "do not correspond" in render_diff(diff, format)


def test_a_slot_that_became_slow_is_in_the_answer(sample_diff):
    slow = SlowSlot(
        rank=2,
        slot="F0.3",
        what="compute",
        length_ns=80_000_000,
        siblings_ns=20_000_000,
        excess_ns=60_000_000,
    )
    lines = list(answer(replace(sample_diff, slow_slots=[slow])))
    words = "rank 2, F0.3: computes 80.00 ms, its siblings 20.00: 60.00 ms of the step"
    assert lines == [*answer(sample_diff), words]


def test_what_is_known_in_part_says_its_bound(make_run, event):
    def run(ready, name):
        rows = [event(0, 0, 50 * _MS, name="gemm_64x64_nn")]
        for start, known in ((50, True), (60, ready)):
            at = {"ready_ns": start * _MS if known else -1}
            rows.append(event(0, start * _MS, (start + 10) * _MS, "dispatch", **at))
        return make_run(rows, name=name)

    diff = diff_runs(run(True, "old"), run(False, "new"))
    assert (diff.base.unsplit_ns, diff.new.unsplit_ns) == (20 * _MS, 20 * _MS)  # alike on both
    assert "at least; exposed and overlap: at most" in render_diff(diff, "table", width=200)
    whole = run(True, "old")
    assert "at most" not in render_diff(diff_runs(whole, whole), "table", width=200)
