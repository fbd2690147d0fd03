"""Clocks that no line brings together are not corrected, and nothing is claimed across them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.tables.columns import EVENTS, make_table
from dpprof.trace.load import load_run
from dpprof.trace.match.align_clocks import tightest_bounds
from dpprof.trace.match.clock_estimate import fit_clocks
from dpprof.trace.match.clock_evidence import Bounds, clock_bounds
from dpprof.trace.match.operations import Matched, OperationPeers, match_operations

MS = 1_000_000
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(x)"


def bounds_of(size: int, clock, count: int = 20) -> Bounds:
    """All-reduces of 20 us, 10 ms apart, in step; `clock` gives what a rank's clock says."""
    rows = [
        (rank, 0, clock(rank, at), clock(rank, at + 20_000), "all_reduce", "dp", number)
        for number, at in enumerate(range(0, count * 10 * MS, 10 * MS))
        for rank in range(size)
    ]
    names = ("rank", "step", "start_ns", "end_ns", "kind", "group", "sequence")
    events = make_table(EVENTS, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    peers = OperationPeers(tuple(range(size)), size, {})
    return clock_bounds(events, match_operations(events, peers))


def jumps(rank: int, at: int) -> int:
    return at + (50 * MS if rank == 1 and at >= 70 * MS else 0)


def drifts(ppm: float):
    return lambda rank, at: at + (round(at * ppm * 1e-6) + 5 * MS if rank == 1 else 0)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("clock", [jumps, drifts(2000), drifts(-2000)])
def test_a_clock_that_no_line_fits_is_not_corrected(size: int, clock) -> None:
    fit = fit_clocks(bounds_of(size, clock))
    (group,) = fit.unfit
    assert sorted(group) == list(range(size))
    assert group[0] == 1 or size == 2
    assert fit.clocks.empty


@pytest.mark.parametrize("clock", [drifts(0), drifts(150), drifts(-150)])
def test_a_clock_that_drifts_as_clocks_do_is_corrected(clock) -> None:
    fit = fit_clocks(bounds_of(3, clock))
    assert fit.unfit == ()
    assert fit.clocks["shift_ns"].tolist() == pytest.approx([0, -5 * MS, 0], abs=25_000)


def test_other_ranks_are_still_put_on_one_clock() -> None:
    def clock(rank: int, at: int) -> int:
        return jumps(rank, at) + (7 * MS if rank == 3 else 0)

    fit = fit_clocks(bounds_of(4, clock))
    assert [group[0] for group in fit.unfit] == [1]
    assert fit.clocks["rank"].tolist() == [0, 2, 3]
    assert fit.clocks["shift_ns"].tolist() == pytest.approx([0, 0, -7 * MS], abs=25_000)


def test_of_the_bounds_of_a_pair_and_moment_the_tightest_is_kept() -> None:
    rows = []
    for number, slack in enumerate((500, 90, 300)):
        for rank in (0, 1):
            rows.append((rank, 0, number, number + slack, "all_reduce", "dp", number))
    names = ("rank", "step", "start_ns", "end_ns", "kind", "group", "sequence")
    events = make_table(EVENTS, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    matched = Matched(np.arange(6), np.repeat([0, 1, 2], 2))
    found = tightest_bounds(events, matched, (0, 10**9), most=2)
    assert sorted(zip(found.waiter, found.source, found.most_ns, strict=True)) == [
        (0, 1, 90),
        (1, 0, 90),
    ]


def test_nothing_is_claimed_across_a_clock_that_jumps(build, tmp_path: Path) -> None:
    words = {"Collective name": "allreduce", "Process Group Name": "0"}
    for rank in (0, 1):
        kernel, events = type(build.kernel)(), []
        for number in range(10):
            at = number * 1000 + (50_000 if rank == 1 and number >= 5 else 0)
            events += [
                build.step(number, at, 990),
                kernel("gemm", at + 1, at + 10, 500),
                kernel(ALL_REDUCE, at + 2, at + 510, 100, stream=9, **words, Seq=number),
            ]
        info = {"rank": rank, "world_size": 2}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    run = load_run(tmp_path)
    assert run.clocks.empty
    assert set(run.events.loc[run.events["kind"] == "all_reduce", "ready_ns"]) == {-1}
    (evidence,) = [one for one in run.evidence if one.check == "clocks"]
    assert (evidence.found, evidence.of, evidence.ranks) == (1, 2, (0, 1))
    assert "cannot be compared: it jumps" in evidence.text
    report = analyze(run)
    assert (report.step_ns, report.total.wait_ns, report.waited_for) == (None, None, [])
    for figures in report.ranks:
        assert figures.states_ns["compute_only"] == 10 * 500_000
        assert figures.communication_ns == 10 * 100_000
        assert (figures.bubble_share, figures.wait_ns) == (None, None)


def reduced(build, folder: Path, size: int, clock, count: int = 12) -> None:
    """Traces of all-reduces of 600 us, 10 ms apart, that start and end 15 us apart at random."""
    rng = np.random.default_rng(size)
    words = {"Collective name": "allreduce", "Process Group Name": "0"}
    for rank in range(size):
        kernel, events = type(build.kernel)(), []
        for number in range(count):
            at = 10_000 * (number + 1)
            start, end = (clock(rank, at + part + int(rng.integers(15))) for part in (0, 600))
            events.append(build.step(number, clock(rank, at - 500), 9_000))
            events += kernel("gemm", start - 400, start - 390, 300)
            events += kernel(ALL_REDUCE, start - 100, start, end - start, **words, Seq=number)
        info = {"rank": rank, "world_size": size}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("ppm", [4000, -4000])
def test_a_drift_that_contradicts_nothing_splits_nothing(build, tmp_path, size, ppm) -> None:
    """No clock drifts by 4,000 ppm: their ends, which are one, move apart."""
    reduced(build, tmp_path, size, lambda rank, at: at + round(at * ppm * 1e-6) * (rank == 1))
    run = load_run(tmp_path)
    assert run.clocks.empty
    (evidence,) = [one for one in run.evidence if one.check == "clocks"]
    assert evidence.ranks == tuple(range(size))
    assert f"rank 1 and that of rank{'s' * (size > 2)} 0" in evidence.text
    assert analyze(run).step_ns is None
    waits = [figures.wait_ns for figures in analyze(run).ranks]
    assert waits == [None] * size


@pytest.mark.parametrize("ppm", [0, 150])
def test_ends_that_do_not_move_apart_are_no_drift(build, tmp_path, ppm) -> None:
    reduced(build, tmp_path, 3, lambda rank, at: at + round(at * ppm * 1e-6) * (rank == 1))
    run = load_run(tmp_path)
    assert [one.check for one in run.evidence] == []
    assert all(figures.wait_ns is not None for figures in analyze(run).ranks)


def test_a_jump_that_one_shift_would_explain_is_not_corrected(build, tmp_path: Path) -> None:
    """A message before the jump may have taken as long as the clock jumped: its ends did agree."""
    for rank in (0, 1):
        kernel, events = type(build.kernel)(), [build.step(1, 1, 80_000)]
        for number in range(6):
            at = 1000 * (number + 1) + (50_000 if rank == 0 and number >= 1 else 0)
            words = {"Collective name": "send" if rank == 0 else "recv", "In msg nelems": 8}
            words |= {"Process Group Name": "0", "Process Group Ranks": "[0, 1]"}
            if number:
                words = {"Collective name": "allreduce", "Process Group Name": "0", "Seq": number}
            else:
                words["Dst Rank" if rank == 0 else "Src Rank"] = 1 - rank
            name = ALL_REDUCE if number else "ncclDevKernel_SendRecv(x)"
            events += [
                kernel("gemm", at + 1, at + 10, 200 + 30 * rank),
                kernel(name, at + 2, at + 250, 100 + number % 3, stream=9, **words),
            ]
        info = {"rank": rank, "world_size": 2}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    run = load_run(tmp_path)
    assert run.clocks.empty
    assert [one.check for one in run.evidence] == ["clocks"]
    assert analyze(run).step_ns is None


def test_a_clock_that_jumps_marks_no_steps_of_others(build, tmp_path: Path) -> None:
    """Of rank 2, whose clock is set back by 40 ms, kernels begin before their launch."""

    def clock(rank: int, at: int) -> int:
        return at - (40_000 if rank == 2 and at >= 51_315 else 0)

    for rank in range(3):
        kernel, events = type(build.kernel)(), []
        for number in range(4):
            at = 50_100 + 1000 * number
            begin, end = clock(rank, at), clock(rank, at + 990)
            events.append(build.step(number, begin, end - begin))
            for n in range(5):
                launch, start = clock(rank, at + 10 + 9 * n), clock(rank, at + 20 + 100 * n)
                events += kernel("gemm", launch, start, 90)
        info = {"rank": rank, "world_size": 3}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    report = analyze(load_run(tmp_path))
    assert {(one.check, one.ranks) for one in report.evidence} == {("clock-jump", (2,))}
    assert report.window_ns == 4000 * 1000 - 10_000
    assert [one.states_ns["compute_only"] for one in report.ranks[:2]] == [20 * 90_000] * 2


def test_a_drift_is_seen_in_a_sample_of_many_operations(build, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("dpprof.trace.match.clock_drift._MOST_ROWS", 40)
    reduced(build, tmp_path, 2, lambda rank, at: at + round(at * 1000e-6) * (rank == 1), 40)
    assert [one.check for one in load_run(tmp_path).evidence] == ["clocks"]


def test_no_clock_is_moved_for_few_operations_that_counting_alone_has_matched(
    build, tmp_path: Path
) -> None:
    """Rank 0's trace begins one all-reduce later than that of rank 1, and ends one later."""
    words = {"Collective name": "allreduce", "Process Group Name": "0"}
    for rank in (0, 1):
        kernel, events = type(build.kernel)(), [build.step(1, 1, 40_000)]
        for number in (1 - rank, 2 - rank):
            at = 10_000 * (number + 1)
            events += kernel("gemm", at - 400, at - 390, 300)
            events += kernel(ALL_REDUCE, at - 80, at, 600, stream=9, **words)
        info = {"rank": rank, "world_size": 2}
        build.write(tmp_path / f"rank{rank}.json", events, distributedInfo=info)
    run = load_run(tmp_path)
    assert run.clocks.empty
    assert [one.check for one in run.evidence] == ["clocks"]
    assert [figures.wait_ns for figures in analyze(run).ranks] == [None, None]
