"""Clocks: shifted and drifting ranks are found, corrected and said; true clocks are left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.runs.clocks import corrected
from dpprof.runs.events import HeldEvents
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run
from dpprof.tables.columns import CLOCKS, EVENTS, make_table
from dpprof.tables.labels import Label
from dpprof.trace.load import load_run
from dpprof.trace.match.clock_bounds import Points, closed, line_ends
from dpprof.trace.match.clock_estimate import estimate_clocks
from dpprof.trace.match.clock_evidence import Bounds, clock_bounds
from dpprof.trace.match.operations import OperationPeers, match_operations

BASE_NS = 1_700_000_000_000_000_000
SHIFTS = [(0, 0.0), (50_000_000, 50e-6), (-50_000_000, -50e-6), (4_200_000, 12e-6)]


def costs(message_ns: int, scale: int = 1) -> CostProfile:
    operations = {"F": 3_000_000, "I": 3_100_000, "W": 2_000_000, "F&B": 7_000_000}
    return CostProfile(
        name="test",
        operation_ns={name: length * scale for name, length in operations.items()},
        message=MessageCost(bytes=8, latency_ns=message_ns),
    )


def on_clock(times, shift: int, drift: float):
    """What a clock shows that is `shift` ahead at time 0 and gains `drift` of all that passes."""
    return times + shift + np.rint(times * drift).astype(np.int64)


def write_labelled(build, folder: Path, run: Run, clocks, of_kineto: object = None, **more) -> Path:
    """The run as one labelled trace per rank, each rank by its own clock."""
    for place in run.places:
        shift, drift = clocks[place.rank]
        events = []
        own = run.events[run.events["rank"] == place.rank]
        slots = run.slots[run.slots["rank"] == place.rank]
        window = [(f"ProfilerStep#{1}", 0, int(run.events["end_ns"].max()), 1)]
        texts = [(str(row.slot), row.start_ns, row.end_ns, 2) for row in slots.itertuples()]
        spans = window + [(str(Label(kind="slot", slot=text)), *rest) for text, *rest in texts]
        spans += [
            (label_of(row), row.start_ns, row.end_ns, 3 + lane(row)) for row in own.itertuples()
        ]
        for name, start, end, tid in spans:
            first, last = (int(on_clock(np.int64(at), shift, drift)) for at in (start, end))
            events.append(build.annotation(name, first / 1000, (last - first) / 1000, tid))
        own_words = {"source": "simulated", "rank": place.rank, "pp_rank": place.pp_rank}
        own_words |= more
        header = {"baseTimeNanoseconds": BASE_NS, "host_name": of_kineto, "dpprof": own_words}
        build.write(folder / f"rank{place.rank}.json", events, **header)
    return folder


def lane(row) -> int:
    return 0 if row.kind == "compute" else 1 + row.peer + 100 * (row.name == "recv")


def label_of(row) -> str:
    action = f"{row.part if row.part == 'F' else 'B'}{row.direction}.{row.micro_batch}"
    if row.kind == "compute":
        return str(Label(kind="compute", slot=row.slot))
    return str(
        Label(
            kind="p2p",
            action=action,
            part=row.part,
            way=row.name,
            group=row.group,
            peer=row.peer,
            sequence=row.sequence,
        )
    )


def without_clock_words(run: Run) -> list[str]:
    return [warning for warning in run.warnings if not warning.startswith("clock of rank")]


@pytest.mark.parametrize("name", ["1f1b", "dualpipe", "zbv"])
@pytest.mark.parametrize("scale", [1, 40])
def test_a_shifted_and_drifting_clock_changes_no_metric_by_more_than_is_said(
    build, tmp_path: Path, name: str, scale: int
) -> None:
    run = simulated_run(make_schedule(name, 4, 8), costs(30_000, scale))
    for number in range(2):
        (tmp_path / str(number)).mkdir()
    right = load_run(write_labelled(build, tmp_path / "0", run, [(0, 0.0)] * 4))
    wrong = load_run(write_labelled(build, tmp_path / "1", run, SHIFTS))
    assert right.clocks.empty
    residual = dict(zip(wrong.clocks["rank"], wrong.clocks["residual_ns"], strict=True))
    assert wrong.clocks["rank"].tolist() == [0, 1, 2, 3]
    assert 0 <= min(residual.values()) <= max(residual.values()) <= 300_000
    assert len(without_clock_words(wrong)) == len(wrong.warnings) - 3
    limit = residual_of(wrong)
    for time in ("start_ns", "end_ns", "ready_ns"):
        moved = (wrong.events[time] - right.events[time]).abs()
        assert (moved <= limit).all()
    for table in ("slots", "steps"):
        moved = getattr(wrong, table)["start_ns"] - getattr(right, table)["start_ns"]
        assert moved.abs().max() <= limit
    compare_reports(analyze(right), analyze(wrong), limit)


def residual_of(run: Run) -> int:
    """The first rank keeps its clock: nothing is off by more than the worst residual (and 1 ns)."""
    return int(run.clocks["residual_ns"].max()) + 1


def compare_reports(right, wrong, limit: int) -> None:
    assert abs(right.window_ns - wrong.window_ns) <= 2 * limit
    for before, after in zip(right.ranks, wrong.ranks, strict=True):
        messages = 2 * sum(1 for region in right.regions if region.rank == before.rank) + 32
        for state, time in before.states_ns.items():
            assert abs(time - after.states_ns[state]) <= messages * limit
        assert (
            abs(before.states_ns["compute_only"] - after.states_ns["compute_only"])
            <= messages * limit
        )
    for region in right.regions:
        if region.length_ns > 8 * limit:
            found = max(wrong.regions, key=lambda one: shared_ns(one, region))
            assert (found.cause_rank, found.state) == (region.cause_rank, region.state)


def shared_ns(one, other) -> int:
    """For how long two regions of one rank go on together."""
    shared = min(one.end_ns, other.end_ns) - max(one.start_ns, other.start_ns)
    return shared if one.rank == other.rank else -1


def test_the_words(build, tmp_path: Path) -> None:
    run = simulated_run(make_schedule("1f1b", 2, 4), costs(30_000))
    load = load_run(write_labelled(build, tmp_path, run, [(0, 0.0), (-4_200_000, 0.0)]))
    assert [warning for warning in load.warnings if "clock" in warning] == [
        "clock of rank 1 shifted by +4.200 ms, drift +0.0 ppm, residual ±0.033 ms: 4 of its 8 "
        "matched communications contradicted causality"
    ]
    assert dict(load.clocks.dtypes.astype(str)) == CLOCKS


def test_a_clock_that_contradicts_nothing_is_left_alone(build, tmp_path: Path) -> None:
    run = simulated_run(make_schedule("1f1b", 2, 4), costs(30_000))
    load = load_run(write_labelled(build, tmp_path, run, [(0, 0.0), (20_000, 0.0)]))
    assert load.clocks.empty
    assert not [warning for warning in load.warnings if "clock" in warning]


def test_ranks_of_one_host_may_be_late_but_not_by_much(build, tmp_path: Path) -> None:
    run = simulated_run(make_schedule("1f1b", 2, 4), costs(30_000))
    for shift, expected in ((-300_000, 0), (-50_000_000, 2)):
        folder = tmp_path / str(-shift)
        folder.mkdir()
        write_labelled(build, folder, run, [(0, 0.0), (shift, 0.0)], host="one")
        assert len(load_run(folder).clocks) == expected


@pytest.mark.parametrize(
    ("own", "kinetos", "clocks"),
    [
        ("", "node-7", 0),
        ("node-7", "localhost", 0),
        ("", "localhost.localdomain", 2),
        ("", "", 2),
        ("", None, 2),
        ("", ["node-7"], 2),
    ],
)
def test_kineto_names_the_host_too(build, tmp_path: Path, own, kinetos, clocks) -> None:
    run = simulated_run(make_schedule("1f1b", 2, 4), costs(30_000))
    write_labelled(build, tmp_path, run, [(0, 0.0), (-300_000, 0.0)], host=own, of_kineto=kinetos)
    assert len(load_run(tmp_path).clocks) == clocks


def test_what_devices_time_is_not_late_by_scheduling(build, tmp_path: Path) -> None:
    """Two hosts of one name: a device's kernels contradict, which no scheduler explains."""
    for rank, late in ((0, 0), (1, 300)):
        said = {"Collective name": "allreduce", "Process Group Name": "0", "Seq": 1}
        reduce = build.kernel("ncclDevKernel_AllReduce", 5, 10 + late, 50, **said)
        info = {"rank": rank, "world_size": 2, "pg_config": [{"pg_name": "0", "ranks": [0, 1]}]}
        events = [build.step(1, 0, 1000), *reduce]
        file = tmp_path / f"rank{rank}.json"
        build.write(file, events, distributedInfo=info, host_name="node-7")
    assert load_run(tmp_path).clocks["shift_ns"].tolist() == [0, -300_000]


def collectives(size: int, count: int, clocks, transfer_ns: int = 20_000):
    """All-reduces 0.1 s apart that end everywhere `transfer_ns` after the last start."""
    rows = []
    for number in range(count):
        for rank in range(size):
            start = number * 100_000_000 + rank * 5_000 * (number % 3)
            end = number * 100_000_000 + (size - 1) * 5_000 * (number % 3) + transfer_ns
            shown = [int(on_clock(np.int64(at), *clocks[rank])) for at in (start, end)]
            rows.append((rank, 0, *shown, "all_reduce", "dp", number))
    names = ("rank", "step", "start_ns", "end_ns", "kind", "group", "sequence")
    return make_table(EVENTS, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def clocks_of(events):
    size = events["rank"].nunique()
    peers = OperationPeers(tuple(range(size)), size, {})
    return estimate_clocks(clock_bounds(events, match_operations(events, peers)))


@pytest.mark.parametrize("size", [2, 5, 12])
def test_collectives_tell_shift_and_drift(size: int) -> None:
    clocks = [(0, 0.0)] * size
    clocks[1] = (50_000_000, 50e-6)
    found = clocks_of(collectives(size, 40, clocks))
    assert found["rank"].tolist() == list(range(size))
    kept = found[found["rank"] != 1]
    assert (kept["shift_ns"].tolist(), kept["drift_ppm"].tolist()) == ([0] * (size - 1),) * 2
    one = found.iloc[1]
    assert one["drift_ppm"] == pytest.approx(-50, abs=10)
    assert one["residual_ns"] < 60_000
    times = np.array([0, 1_950_000_000, 3_900_000_000])
    back = corrected(on_clock(times, *clocks[1]), np.ones(3, dtype=np.int64), found)
    assert (np.abs(back - times) <= one["residual_ns"]).all()


def test_two_hosts_of_which_one_is_ahead() -> None:
    clocks = [(0, 0.0), (0, 0.0), (9_000_000, 0.0), (9_000_000, 0.0)]
    found = clocks_of(collectives(4, 6, clocks))
    assert found["shift_ns"].tolist()[:2] == [0, 0]
    assert found["shift_ns"].tolist()[2:] == pytest.approx([-9_000_000] * 2, abs=20_000)
    assert (found["contradicted"] == 6).all()
    assert (found["matched"] == 6).all()


def test_messages_one_way_only_bound_a_clock_from_one_side() -> None:
    names = ("rank", "step", "start_ns", "end_ns", "kind", "group", "sequence")
    rows = [(0, 0, 100_000, 200_000, "p2p", "0>1", 0), (1, 0, 10_000, 60_000, "p2p", "0>1", 0)]
    events = make_table(EVENTS, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    found = clocks_of(events)
    assert found[["rank", "shift_ns", "residual_ns"]].values.tolist() == [
        [0, 0, 0],
        [1, 40_000, -1],
    ]


def test_broadcasts_say_nothing() -> None:
    events = collectives(3, 4, [(0, 0.0), (10**9, 0.0), (0, 0.0)])
    events["kind"] = "broadcast"
    assert clocks_of(events).empty


def test_operations_that_contradict_each_other_widen_the_residual() -> None:
    events = collectives(2, 10, [(0, 0.0), (50_000_000, 0.0)])
    late = (events["rank"] == 1) & (events["sequence"] == 4)
    events.loc[late, ["start_ns", "end_ns"]] += 3_000_000  # as if matched with another one
    found = clocks_of(events)
    assert found["residual_ns"].tolist()[1] > 1_400_000
    assert found["shift_ns"].tolist()[1] == pytest.approx(-50_000_000, abs=3_000_000)


TRUTH = st.lists(
    st.tuples(st.integers(-(10**8), 10**8), st.floats(-50e-6, 50e-6)), min_size=3, max_size=5
)
MESSAGES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10**9), st.integers(0, 10**6)),
    min_size=4,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(TRUTH, MESSAGES)
def test_the_truth_lies_within_the_residual(truth, messages) -> None:
    sent = [one for one in messages if one[0] != one[1] and max(one[:2]) < len(truth)]
    if not sent:
        return
    source, waiter, start, delay = (
        np.array(column, dtype=np.int64) for column in zip(*sent, strict=True)
    )
    shown = [
        np.array(
            [
                int(on_clock(np.int64(at), *truth[rank]))
                for at, rank in zip(times, ranks, strict=True)
            ]
        )
        for times, ranks in ((start, source), (start + delay, waiter))
    ]
    bounds = Bounds(waiter, source, shown[1] - shown[0], sum(shown) // 2, np.arange(len(sent)))
    found = estimate_clocks(bounds, (-(2 * 10**8), 12 * 10**8))
    for group in connected(found["rank"].tolist(), sent):
        own = found[found["rank"].isin(group)].set_index("rank")
        seed = next((rank for rank in own.index if own.loc[rank, "residual_ns"] == 0), None)
        for at in (0, 10**9):
            off = {
                rank: int(
                    corrected(on_clock(np.array([at]), *truth[rank]), np.array([rank]), found)[0]
                )
                for rank in group
            }
            for rank in group:
                if own.loc[rank, "residual_ns"] >= 0:
                    assert abs(off[rank] - off[seed]) <= own.loc[rank, "residual_ns"] + 20_000


def connected(ranks, sent):
    groups = [{rank} for rank in ranks]
    for one, other, *_ in sent:
        joined = [group for group in groups if one in group or other in group]
        groups = [group for group in groups if group not in joined]
        groups += [set().union(*joined)] if joined else []
    return groups


def test_line_ends_agree_with_a_search_over_many_lines() -> None:
    above = Points(np.array([0.1, 0.5, 0.9]), np.array([30.0, 10.0, 25.0]))
    below = Points(np.array([0.0, 0.6, 1.0]), np.array([20.0, 15.0, 5.0]))
    found = line_ends(above, below, 40.0)
    first, last = np.meshgrid(np.linspace(-100, 100, 801), np.linspace(-100, 100, 801))
    fits = np.abs(last - first) <= 40
    for when, most in zip(*above, strict=True):
        fits &= first * (1 - when) + last * when <= most + 1e-9
    for when, most in zip(*below, strict=True):
        fits &= -(first * (1 - when) + last * when) <= most + 1e-9
    expected = [(first[fits].max(), last[fits].max()), (first[fits].min(), last[fits].min())]
    assert found.slack == 0
    assert np.allclose([found.most, found.least], expected, atol=0.5)


def test_closed_bounds_are_shortest_paths_and_contradictions_are_loosened() -> None:
    most = np.array([[0, 1, 9], [np.inf, 0, 2], [-3, np.inf, 0]], dtype=float)
    tight, slack = closed(most)
    assert (tight.tolist(), slack) == ([[0, 1, 3], [-1, 0, 2], [-3, -2, 0]], 0)
    most[2, 0] = -6
    assert closed(most)[1] == pytest.approx(1, abs=1)


def test_unknown_times_stay_unknown() -> None:
    clocks = make_table(CLOCKS, {"rank": [1], "shift_ns": [5], "drift_ppm": [0.0], "from_ns": [0]})
    times, ranks = np.array([-1, 10, 10]), np.array([1, 1, 0])
    assert corrected(times, ranks, clocks).tolist() == [-1, 15, 10]


def late(run: Run, count: int, by_ns: int) -> Run:
    """The run with the labels of `count` sends of rank 0 as late as on a busy machine."""
    events = run.events.copy()
    sends = np.flatnonzero((events["rank"] == 0) & (events["group"] == "0>1"))[:count]
    for name in ("start_ns", "end_ns"):
        events.iloc[sends, events.columns.get_loc(name)] += by_ns
    return replace(run, held=HeldEvents(events))


@pytest.mark.parametrize(
    ("source", "count", "unsplit"), [("emulated", 2, 0), ("captured", 2, 0), ("emulated", 5, 10)]
)
def test_a_few_late_labels_of_one_machine_stay_matched(
    build, tmp_path: Path, source: str, count: int, unsplit: int
) -> None:
    """A busy machine labels sends after their receives; most of an edge are no matter of load."""
    run = late(simulated_run(make_schedule("1f1b", 2, 8), costs(30_000)), count, 30_000_000)
    write_labelled(build, tmp_path, run, [(0, 0.0), (0, 0.0)], host="node-7", source=source)
    load = load_run(tmp_path)
    assert load.clocks.empty
    assert int((load.held.communications["ready_ns"] < 0).sum()) == unsplit
    said = [one for one in load.evidence if one.check == "late-labels"]
    assert [(one.found, one.of, one.ranks) for one in said] == (
        [] if unsplit else [(2, 16, (0, 1))]
    )
