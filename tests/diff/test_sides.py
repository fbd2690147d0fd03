"""Runs that are not alike: what is compared, what is left out, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dpprof.analysis.diff.common_ranks import comparable
from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.setup_differences import differs
from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.runs.manifest import Manifest, RankPlace
from dpprof.trace.load import load_run


def _run(make_run, event, ranks, *, world_size=None, length=10, steps=1, **fields):
    rows = [
        event(rank, 100 * step, 100 * step + length + rank, step=step, name="work")
        for rank in ranks
        for step in range(steps)
    ]
    return make_run(rows, world_size=world_size, used_steps=tuple(range(steps)), **fields)


def test_a_rank_that_one_side_lacks_is_left_out_on_both(make_run, event, diffs):
    base = _run(make_run, event, [0, 1, 2], world_size=3)
    diff = diff_runs(base, _run(make_run, event, [0, 1], world_size=3, length=20))
    assert [rank.new_rank for rank in diff.ranks] == [0, 1]
    assert (diff.time.base_ns, diff.time.new_ns) == (2 * 11, 2 * 21)
    assert diff.notes == [
        "NEW has no rank 2: left out on the other side too, and the step windows are those of the "
        "ranks that are left"
    ]
    assert diff.base.ranks == [0, 1]


def test_ranks_of_other_worlds_do_not_correspond(make_run, event, diffs):
    base = _run(make_run, event, [0, 1], world_size=2)
    diff = diff_runs(base, _run(make_run, event, [0, 1, 2], world_size=3))
    assert diff.ranks == []
    assert diff.rank_count == 6
    assert (diff.time.base_ns, diff.time.new_ns) == (6 * 11, 6 * 12)
    assert diff.notes == [
        "BASE has 2 ranks and NEW 3, which do not correspond: means over the ranks are compared, "
        "and no single ranks"
    ]


def test_equally_many_other_ranks_correspond_in_order(make_run, event):
    sides = comparable(_run(make_run, event, [3]), _run(make_run, event, [1]))
    assert sides.pairs == ((3, 1),)
    assert sides.notes == ("rank 3 of BASE is compared with rank 1 of NEW",)
    sides = comparable(_run(make_run, event, [0, 4]), _run(make_run, event, [1, 2]))
    assert sides.pairs == ((0, 1), (4, 2))
    assert sides.notes == ("ranks 0, 4 of BASE are compared with 1, 2 of NEW, in order",)


def test_other_numbers_of_steps_are_brought_to_the_same(make_run, event, diffs):
    base = _run(make_run, event, [0], steps=2)
    diff = diff_runs(base, _run(make_run, event, [0], steps=3, length=12))
    assert diff.steps == 6
    assert (diff.time.base_ns, diff.time.new_ns, diff.time.change_ns) == (60, 72, 12)
    assert (diff.base.steps, diff.base.step_ns, diff.new.step_ns) == (2, 10, 12)
    assert diffs.times(diff.work) == {"same work": (60, 72)}
    assert (diff.kernels.rows[0].base_calls, diff.kernels.rows[0].new_calls) == (6, 6)


def test_waiting_is_told_apart_on_both_sides_or_on_neither(make_run, event, diffs):
    def run(ready):
        transfer = event(0, 10, 40, "dispatch", ready_ns=ready, name="dispatch")
        return make_run([event(0, 0, 10, name="work"), transfer])

    diff = diff_runs(run(30), run(-1))
    assert diff.notes == [
        "dispatch: NEW does not tell waiting from transferring, so waiting counts as transfer on "
        "both sides"
    ]
    assert diff.time.change_ns == 0
    assert all(part.change_ns == 0 for part in diffs.parts_of(diff.time))
    assert diffs.times(diffs.find(diff.time, "exposed")) == {"exposed.dispatch": (30, 30)}
    split = diff_runs(run(30), run(20))
    assert split.notes == []
    assert diffs.times(diffs.find(split.time, "exposed")) == {"exposed.dispatch": (10, 20)}


def test_waiting_is_told_apart_where_both_sides_can(make_run, event, diffs):
    """Messages to a rank whose trace one side lacks do not make other messages unknown."""

    def run(ready):
        rows = [
            event(0, 0, 30, "p2p", ready_ns=ready, group="0>1", peer=1, name="one"),
            event(0, 30, 60, "p2p", ready_ns=40, group="0>2", peer=2, name="other"),
        ]
        return make_run(rows)

    base, new = run(20), run(-1)
    for diff in (diff_runs(base, new), diff_runs(new, base)):
        assert {part.change_ns for tree in diffs.trees(diff) for part in diffs.parts_of(tree)} == {
            0
        }
        assert diffs.times(diffs.find(diff.time, "exposed")) == {"exposed.p2p": (50, 50)}
    assert diff_runs(base, new).notes == [
        "p2p of rank 0 in 0>1: NEW does not tell waiting from transferring, so waiting counts as "
        "transfer on both sides"
    ]


def test_a_kind_that_differs_in_its_groups_is_not_told_apart_at_all(make_run, event, diffs):
    """Which of BASE's groups corresponds to an unsplit one of NEW is not known."""

    def run(ready, group):
        rows = [
            event(0, 0, 30, "p2p", ready_ns=ready, group=group, name="one"),
            event(0, 30, 60, "p2p", ready_ns=40, group="0>2", name="other"),
        ]
        return make_run(rows)

    diff = diff_runs(run(20, "0>1"), run(-1, "0>3"))
    assert diffs.times(diffs.find(diff.time, "exposed")) == {"exposed.p2p": (60, 60)}
    assert len(diff.notes) == 1


@pytest.mark.parametrize("unmatched", [0, 1])
def test_what_is_matched_in_part_is_not_told_apart(make_run, event, diffs, unmatched):
    """Else the side that cannot tell would seem to transfer for longer."""

    def run(*ready):
        rows = [
            event(0, 30 * i, 30 * i + 30, "p2p", ready_ns=at, group="0>1", name="one")
            for i, at in enumerate(ready)
        ]
        return make_run(rows)

    half = [20, 50]
    half[unmatched] = -1
    for sides in ((run(20, 50), run(*half)), (run(*half), run(20, 50))):
        diff = diff_runs(*sides)
        assert diffs.times(diffs.find(diff.time, "exposed")) == {"exposed.p2p": (60, 60)}
        assert len(diff.notes) == 1


@pytest.mark.parametrize("missing", [0, 1])
def test_a_sample_without_one_rank_does_not_differ_from_itself(tmp_path, diffs, missing):
    """Whichever side lacks it: what remains is compared on equal terms, state by state."""
    whole = Path(__file__).resolve().parents[2] / "traces" / "dualpipe"
    part = shutil.copytree(whole, tmp_path / "part")
    (part / f"rank{missing}.json.gz").unlink()
    runs = [load_run(str(path)) for path in (whole, part)]
    for base, new in (runs, reversed(runs)):
        diff = diff_runs(base, new)
        every = [one for tree in diffs.trees(diff) for one in diffs.parts_of(tree)]
        assert {one.change_ns for one in every} == {0}
        assert diff.time.base_ns > 0
        assert {row.change_ns for row in (*diff.kernels.rows, *diff.slots.rows)} == {0}


@pytest.mark.parametrize("side", ["BASE", "NEW"])
def test_a_side_without_activity_is_refused(make_run, event, side):
    runs = [_run(make_run, event, [0]), make_run([event(0, 0, 5, step=7)], name="empty")]
    if side == "BASE":
        runs.reverse()
    with pytest.raises(DpprofError, match=rf"{side} \(empty\): no activity .* --steps"):
        diff_runs(*runs)


def _manifest(**fields):
    return Manifest(
        schema_version=1,
        source="captured",
        schedule=None,
        device="cuda",
        world_size=1,
        ranks=[RankPlace(rank=0, pp_rank=0)],
        **fields,
    )


def test_what_is_not_the_same_is_said(make_run, event):
    first = _manifest(sizes={"hidden": 64}, tokens_per_step=100, versions={"torch": "2.12"})
    second = _manifest(sizes={"hidden": 128}, tokens_per_step=150, device_name="H100", seed=3)
    base, new = (_run(make_run, event, [0], manifest=one) for one in (first, second))
    found = differs((base, analyze(base)), (new, analyze(new)))
    assert [(one.what, one.base, one.new) for one in found] == [
        ("device", "cuda", "H100"),
        ("tokens per step", "100", "150"),
        ("sizes hidden", "64", "128"),
    ]
    notes = diff_runs(base, new).notes
    assert notes == ["a step of NEW takes x1.50 the tokens of BASE's: compare the throughput, too"]


def test_the_whole_beside_a_part_of_its_ranks_does_not_differ(shared_run):
    """The part cannot tell waiting from transferring; told apart on neither, all is the same."""
    diff = diff_runs(shared_run("nanogpt_8_h100/rank[0-4].json.gz"), shared_run("nanogpt_8_h100"))
    assert diff.time.change_ns == 0
    assert {part.change_ns for part in diff.time.parts} == {0}
    assert len(diff.ranks) == 5
    assert len(diff.notes) == 2
