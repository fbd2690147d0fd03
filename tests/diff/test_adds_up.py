"""Everything adds up, on random pairs of runs; the sides may be exchanged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.model import Part
from dpprof.analysis.diff.work_accounts import account_with_cells
from dpprof.analysis.report.analyze import analyze
from dpprof.runs.windows import step_windows
from dpprof.tables.kinds import COMMUNICATION_KINDS, STATES

_EXAMPLES = settings(max_examples=25)
_OPPOSITE = {"added": "removed", "removed": "added"} | {
    "moved in": "moved out",
    "moved out": "moved in",
}


def _sum(parts):
    return tuple(
        sum(getattr(part, name) for part in parts) for name in ("base_ns", "new_ns", "change_ns")
    )


def _values(part):
    return part.base_ns, part.new_ns, part.change_ns


@_EXAMPLES
@given(data=st.data())
def test_everything_adds_up(data, make_run, diffs):
    base, new = (data.draw(diffs.random_runs(make_run)) for _ in "ab")
    diff = diff_runs(base, new)
    _assert_parts_add_up(diff, diffs)
    if not diff.notes:
        _assert_states_are_those_of(diff, (analyze(base), analyze(new)), diffs)
    computing, bubble = (diffs.find(diff.time, name) for name in ("computing", "bubble"))
    assert _values(diff.work) == _values(computing)
    busy = tuple(a - b for a, b in zip(_values(diff.time), _values(bubble), strict=True))
    assert _values(diff.operations) == busy
    assert _sum([*diff.kernels.rows, diff.kernels.others]) == busy
    if diff.ranks:
        _assert_ranks_are_the_job(diff)
    assert diff.critical_path is not None
    assert diff.critical_path.base_ns * diff.rank_count == diff.time.base_ns
    assert diff.critical_path.new_ns * diff.rank_count == diff.time.new_ns
    assert msgspec.json.decode(msgspec.json.encode(diff), type=type(diff)) == diff


def _assert_parts_add_up(diff, diffs):
    for tree in diffs.trees(diff):
        for part in diffs.parts_of(tree):
            assert part.change_ns == part.new_ns - part.base_ns
            if part.parts:
                assert _sum(part.parts) == _values(part), part.name


def _assert_states_are_those_of(diff, reports, diffs):
    found = {part.name: part for part in diffs.parts_of(diff.time) if part.name in STATES}
    for side, report in zip(("base_ns", "new_ns"), reports, strict=True):
        counted = len(report.per_step) * len(report.ranks)
        scale = diff.steps * diff.rank_count // counted
        assert getattr(diff.time, side) == report.total.window_ns * scale
        for state in STATES:
            time = getattr(found[state], side) if state in found else 0
            assert time == report.total.states_ns[state] * scale, state


def _assert_ranks_are_the_job(diff):
    assert _sum([rank.time for rank in diff.ranks]) == _values(diff.time)
    assert _sum([rank.work for rank in diff.ranks]) == _values(diff.work)
    job = {part.name: _values(part) for part in diff.work.parts}
    every = [part for rank in diff.ranks for part in rank.work.parts]
    moved = ("same work", "moved in", "moved out")
    assert job.get("same work", (0, 0, 0)) == _sum([one for one in every if one.name in moved])


@_EXAMPLES
@given(data=st.data())
def test_a_run_beside_itself_has_no_difference(data, make_run, diffs):
    run = data.draw(diffs.random_runs(make_run))
    diff = diff_runs(run, run)
    for tree in diffs.trees(diff):
        assert all(part.change_ns == 0 for part in diffs.parts_of(tree))
    assert all(row.change_ns == 0 for row in (*diff.kernels.rows, *diff.slots.rows))
    assert {row.presence for row in (*diff.kernels.rows, *diff.slots.rows)} <= {"both"}
    assert {part.name for part in diff.work.parts} <= {"same work"}
    assert diff.memory.change_bytes in (0, None)
    assert not diff.differs
    for effect in [part.effect for part in diffs.parts_of(diff.time) if part.effect]:
        assert not effect.significant
        assert effect.low_ns == pytest.approx(-effect.high_ns)


def _canonical(part: Part, *, exchanged: bool):
    base, new = (part.new_ns, part.base_ns) if exchanged else (part.base_ns, part.new_ns)
    change = -part.change_ns if exchanged else part.change_ns
    name = _OPPOSITE.get(part.name, part.name) if exchanged else part.name
    inside = sorted(_canonical(one, exchanged=exchanged) for one in part.parts)
    return name, base, new, change, inside


def _effects(diff, diffs, sign):
    found = {}
    for part in diffs.parts_of(diff.time):
        if part.effect is not None:
            ends = (part.effect.low_ns * sign, part.effect.high_ns * sign)
            found[part.name] = (part.effect.change_ns * sign, min(ends), max(ends))
    return found


@_EXAMPLES
@given(data=st.data())
def test_exchanging_the_sides_changes_the_sign_and_nothing_else(data, make_run, diffs):
    base, new = (data.draw(diffs.random_runs(make_run)) for _ in "ab")
    forth, back = diff_runs(base, new), diff_runs(new, base)
    there = [_canonical(tree, exchanged=False) for tree in diffs.trees(forth)]
    here = [_canonical(tree, exchanged=True) for tree in diffs.trees(back)]
    assert there == here
    kernels = [
        (row.change_ns, set(row.base_names), set(row.new_names)) for row in forth.kernels.rows
    ]
    mirrored = [
        (-row.change_ns, set(row.new_names), set(row.base_names)) for row in back.kernels.rows
    ]
    assert sorted(map(repr, kernels)) == sorted(map(repr, mirrored))
    effects, mirrored_effects = _effects(forth, diffs, 1), _effects(back, diffs, -1)
    assert effects.keys() == mirrored_effects.keys()
    for name, values in effects.items():
        assert values == pytest.approx(mirrored_effects[name], abs=1e-6)


def _owned(rows, instant, kind):
    """The row that began first of those of a kind that are under way."""
    under_way = []
    for position, row in enumerate(rows):
        begin = row["start_ns"]
        if kind in COMMUNICATION_KINDS and row.get("ready_ns", -1) >= 0:
            begin = min(max(begin, row["ready_ns"]), row["end_ns"])
        if row["kind"] == kind and begin <= instant < row["end_ns"]:
            under_way.append((begin, row["end_ns"], position))
    return min(under_way)[2] if under_way else None


def _twin(rows):
    """Total, hidden and own nanoseconds of each row, instant by instant."""
    result = [[0, 0, 0] for _ in rows]
    end = max((row["end_ns"] for row in rows), default=0)
    for instant in range(end):
        transfers = [
            kind for kind in COMMUNICATION_KINDS if _owned(rows, instant, kind) is not None
        ]
        computing = _owned(rows, instant, "compute") is not None
        fused = _owned(rows, instant, "fused") is not None
        deciding = "compute" if computing else transfers[0] if transfers else "memory"
        deciding = "fused" if fused else deciding
        for kind in ("compute", "memory", "fused", *transfers):
            row = _owned(rows, instant, kind)
            if row is None:
                continue
            overlap = computing and bool(transfers) and not fused
            result[row][0] += kind == "fused" or not fused
            result[row][1] += overlap
            result[row][2] += kind == deciding and not (overlap and kind == "compute")
    return result


@_EXAMPLES
@given(data=st.data())
def test_cells_count_instants(data, make_run, diffs):
    run = data.draw(diffs.random_runs(make_run))
    events = run.events
    _, cells = account_with_cells(run)
    expected: dict[tuple[int, str, str], list[int]] = {}
    windows = step_windows(run)
    for start, end in windows.values():
        inside = events[(events["start_ns"] < end) & (events["end_ns"] > start)]
        cut = {name: inside[name].clip(start, end) for name in ("start_ns", "end_ns")}
        ready = inside["ready_ns"].where(
            inside["ready_ns"] < 0, inside["ready_ns"].clip(start, end)
        )
        for rank, group in inside.assign(**cut, ready_ns=ready).groupby("rank"):
            ordered = group.sort_values("start_ns", kind="stable").to_dict("records")
            for row, times in zip(ordered, _twin(ordered), strict=True):
                before = expected.setdefault((rank, row["kind"], row["name"]), [0, 0, 0])
                before[:] = [a + b for a, b in zip(before, times, strict=True)]
    columns = ["rank", "kind", "name", "total_ns", "hidden_ns", "own_ns"]
    found = {
        tuple(row[:3]): list(row[3:])
        for row in cells.kernels[columns].itertuples(index=False)
        if any(row[3:])
    }
    assert found == {key: times for key, times in expected.items() if any(times)}
    # What begins where a step ends is of length 0, or of no step.
    starts = events["start_ns"]
    begun, at_end = (
        sum(any(holds(start, *window) for window in windows.values()) for start in starts)
        for holds in (lambda at, a, b: a <= at < b, lambda at, a, b: a <= at <= b)
    )
    assert begun <= cells.kernels["calls"].sum() <= at_end
