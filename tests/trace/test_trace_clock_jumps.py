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


def reduced(build, folder: Path, size: int, clock) -> None:
    """Traces of all-reduces of 600 us, 10 ms apart, that start and end 15 us apart at random."""
    rng = np.random.default_rng(size)
    words = {"Collective name": "allreduce", "Process Group Name": "0"}
    for rank in range(size):
        kernel, events = type(build.kernel)(), []
        for number in range(12):
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
