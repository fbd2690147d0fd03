"""The formats of reports and comparisons."""

from __future__ import annotations

import json

import msgspec
import pytest

from dpprof.analysis.model import Report
from dpprof.analysis.observations import RegionFigures
from dpprof.analysis.report.analyze import analyze
from dpprof.analysis.report.side_by_side import compare
from dpprof.reporters import FORMATS, render, render_comparison
from dpprof.reporters.blocks.units import TimeUnit, bytes_text, rate_text, share_text, time_unit
from dpprof.reporters.report.sentences import region_words
from dpprof.reporters.schemas import schema_of
from tests.reporters.test_schemas import faults, unknown_keys


def table_rows(text: str, title: str) -> list[list[str]]:
    """Words of the rows under a title, below the rule."""
    lines = text[text.index(title) :].splitlines()
    first = next(i for i, line in enumerate(lines) if line and set(line) <= {"─", "-"}) + 1
    end = lines.index("", first) if "" in lines[first:] else len(lines)
    return [line.split() for line in lines[first:end]]


def test_json_is_the_report_itself(report: Report) -> None:
    assert msgspec.json.decode(render(report, "json"), type=Report) == report


def test_json_of_several_runs(report: Report, baseline: Report) -> None:
    form = json.loads(render_comparison(compare([report, baseline]), "json"))
    assert form["schema_version"] == 2
    assert [run["schedule"] for run in form["runs"]] == ["dualpipe", "1f1b"]


def test_the_table_shows_the_worst_rank_first_and_the_mean_last(report: Report) -> None:
    rows = table_rows(render(report, "table"), "Bubbles by cause")
    assert [row[0] for row in rows] == ["1", "2", "0", "3", "mean"]
    assert " ".join(rows[0]) == "1 30.50 9.6% 16.00 5.0% 6.00 1.9% 8.50 2.7% 30.50"


def test_the_table_sets_ideal_beside_measured(report: Report) -> None:
    rows = table_rows(render(report, "table"), "Ideal beside measured")
    assert rows[0] == ["step", "time", "317.00", "317.00", "+0.00"]
    assert rows[1] == ["bubble", "of", "the", "worst", "rank", "30.50", "30.50", "+0.00", "21.50"]
    assert rows[2] == ["most", "time", "outside", "slots", "30.50", "30.50", "+0.00"]


def test_the_table_says_loudly_what_was_not_measured(report: Report) -> None:
    text = render(report, "table")
    assert "SIMULATED" in text.splitlines()[0]
    captured = msgspec.structs.replace(report, source="captured")
    assert "SIMULATED" not in render(captured, "table")
    emulated = msgspec.structs.replace(report, source="emulated")
    assert "EMULATED" in render(emulated, "table")


def test_the_table_names_longest_bubbles_and_puts_warnings_last(report: Report) -> None:
    warned = msgspec.structs.replace(report, warnings=["clocks differ"])
    text = render(warned, "table")
    first = (
        "- rank 1 idle 16.00 ms at 0.00 ms, warmup: nothing computed yet, waits for rank 0, F0.0"
    )
    assert first in text
    assert text.count("\n- rank") == 5
    assert text.endswith("warning: clocks differ\n")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_lines_fit_the_terminal(report: Report, baseline: Report, width: int) -> None:
    texts = [
        render(report, "table", width=width),
        render_comparison(compare([report, baseline]), "table", width=width),
    ]
    assert max(len(line) for text in texts for line in text.splitlines()) <= width
    assert "…" not in "".join(texts)


def test_ascii_terminals_get_ascii(report: Report, baseline: Report) -> None:
    assert render(report, "table", unicode=False, width=80).isascii()
    comparison = compare([report, baseline])
    assert render_comparison(comparison, "table", unicode=False).isascii()


def test_colour_only_where_it_is_wanted(report: Report) -> None:
    assert "\x1b[" not in render(report, "table")
    assert "\x1b[" in render(report, "table", color=True)


def test_the_comparison_gives_ratios_to_the_last(report: Report, baseline: Report) -> None:
    comparison = compare([report, baseline])
    rows = table_rows(render_comparison(comparison, "table"), "Step\n")
    assert rows[0] == ["step", "time", "317.00", "ms", "x0.77", "412.50", "ms"]
    memory = table_rows(render_comparison(comparison, "table"), "Memory peak")
    assert memory[0] == ["peak", "memory", "1.31", "GiB", "x1.75", "768.00", "MiB"]


def test_markdown_tables_and_escapes(report: Report, baseline: Report) -> None:
    odd = msgspec.structs.replace(report, name="a|b", warnings=["kernel<float> | x"])
    text = render(odd, "markdown")
    assert text.startswith("# a\\|b\n")
    assert "| 1 | 30.50 (9.6%) | 16.00 (5.0%) | 6.00 (1.9%) | 8.50 (2.7%) | 30.50 |" in text
    assert "- kernel\\<float> \\| x" in text
    side_by_side = render_comparison(compare([report, baseline]), "markdown")
    assert "| step time | 317.00 ms (x0.77) | 412.50 ms |" in side_by_side


def test_every_format_takes_a_report_with_nothing_in_it(report: Report) -> None:
    empty = msgspec.structs.replace(
        report,
        ranks=[],
        per_step=[],
        regions=[],
        stages=[],
        ideal=None,
        step_ns=None,
        window_ns=0,
        total=msgspec.structs.replace(report.total, by_kind={}, window_ns=0),
    )
    for name in FORMATS:
        assert "dualpipe" in render(empty, name)
        assert "dualpipe" in render_comparison(compare([empty, report]), name)


def region(state: str, **fields: object) -> RegionFigures:
    nothing = dict.fromkeys(["cause_kind", "cause", "cause_rank", "cause_group", "slot"])
    given = nothing | {"phase": "steady"} | fields
    return RegionFigures(
        rank=3,
        step=4,
        start_ns=0,
        end_ns=0,
        offset_ns=13_100_000,
        length_ns=4_200_000,
        state=state,
        **given,
    )


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (
            region("bubble.dependency", cause_kind="input", cause_rank=2, cause="B1.3"),
            "steady: waits for rank 2, B1.3",
        ),
        (
            region("bubble.dependency", cause_kind="receiver", cause_rank=2, cause="B1.3"),
            "steady: waits for rank 2, receiving B1.3",
        ),
        (region("bubble.dependency"), "steady: waits for a message"),
        (
            region("bubble.straggler", cause_rank=1, cause="dispatch"),
            "steady: waits in dispatch for rank 1, the last to come",
        ),
        (region("bubble.host", cause_kind="launch", cause="gemm"), "steady: launched late: gemm"),
        (region("bubble.host", cause_kind="host", cause="loader"), "steady: host in loader"),
        (region("bubble.host", slot="F0.1"), "steady: the host came late (in F0.1)"),
        (region("bubble.cooldown", phase="cooldown"), "cooldown: nothing left to compute"),
        (region("bubble.other", slot="F0.1"), "steady: no cause found (before F0.1)"),
    ],
)
def test_regions_in_words(example: RegionFigures, reason: str) -> None:
    unit = TimeUnit("ms", 10**6)
    words = region_words(example, unit, with_step=False)
    assert words == f"rank 3 idle 4.20 ms, 13.10 ms into the step, {reason}"
    assert ", 13.10 ms into step 4, " in region_words(example, unit, with_step=True)
    first = msgspec.structs.replace(example, offset_ns=0)
    assert ", from the start of step 4, " in region_words(first, unit, with_step=True)


def test_units() -> None:
    names = [time_unit(step).name for step in (None, 0, 5_000, 50_000, 10**7, 10**11)]
    assert names == ["ms", "ms", "ns", "us", "ms", "s"]
    assert time_unit(10**7).full(1_234_567) == "1.23 ms"
    assert [bytes_text(size) for size in (None, 0, 1023, 2**20, 3 * 2**29)] == [
        "n/a",
        "0.00 MiB",
        "1023.00 B",
        "1.00 MiB",
        "1.50 GiB",
    ]
    assert (share_text(None), share_text(0.963)) == ("n/a", "96.3%")
    assert (rate_text(None), rate_text(12345.6)) == ("n/a", "12,346")


def test_what_is_known_in_part_says_its_bound(make_run, event) -> None:
    rows = [event(0, 0, 50, name="gemm"), event(0, 50, 60, "dispatch", ready_ns=50)]
    whole = [*rows, event(0, 80, 90, "dispatch", ready_ns=85)]
    part = [*rows, event(0, 80, 90, "dispatch", ready_ns=-1)]
    assert "≥" not in render(analyze(make_run(whole)), "table")
    text = render(analyze(make_run(part)), "table")
    assert "≥ at least, ≤ at most" in text
    row = next(line for line in text.splitlines() if line.startswith("0  "))
    assert (row.count("≥"), row.count("≤")) == (1, 1)  # nothing is hidden: at most 0 is 0


def test_what_is_known_in_part_says_its_bound_in_json(make_run, event) -> None:
    rows = [event(0, 0, 50, name="gemm"), event(0, 50, 60, "dispatch", ready_ns=50)]
    part = [*rows, event(0, 80, 90, "dispatch", ready_ns=-1)]
    written = json.loads(render(analyze(make_run(part)), "json"))
    schema = schema_of("report")
    assert faults(written, schema, schema) == unknown_keys(written, schema, schema) == []
    (rank,) = written["ranks"]
    assert (
        rank["bounds"] == written["total"]["bounds"] == written["per_step"][0]["ranks"][0]["bounds"]
    )
    assert {name for name, bound in rank["bounds"].items() if bound == "at_most"} == {
        *("communication_ns", "exposed_ns", "exposed.dispatch"),
    }
    assert {"bubble_ns", "bubble_share", "wait_ns"} <= rank["bounds"].keys()
    assert rank["by_kind"]["dispatch"]["bounds"]["wait_ns"] == "at_least"
    whole = json.loads(render(analyze(make_run(rows)), "json"))
    assert "bounds" not in whole["ranks"][0] | whole["ranks"][0]["by_kind"]["dispatch"]
