"""Snapshots of runs: their figures are those of the report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from dpprof.analysis.metrics import METRICS
from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.gate.identity import mismatches
from dpprof.gate.measure import Measured, take_snapshot
from dpprof.gate.names import JOB_FIGURES, MEMORY, RANK_FIGURES
from dpprof.statistics.figure import Figure
from dpprof.tables.kinds import STATES
from dpprof.trace.load import load_run

TRACES = Path(__file__).parents[2] / "traces"


@pytest.fixture(scope="module")
def measured() -> Measured:
    run = load_run(TRACES / "dualpipe")
    return Measured(run, analyze(run))


def test_the_figures_of_a_job_are_those_of_its_report(measured) -> None:
    report, job = measured.report, take_snapshot([measured]).job
    steps, ranks = len(report.per_step), len(report.ranks)
    assert job["step_ns"].mean == pytest.approx(report.window_ns / steps, abs=1)
    for name in ("bubble_ns", "hidden_ns", "exposed_ns", "wait_ns", "communication_ns"):
        total = getattr(report.total, name)
        assert job[name].mean == pytest.approx(total / steps / ranks, abs=1)
    assert job["bubble_share"].mean == pytest.approx(report.total.bubble_share, abs=1e-4)
    assert job["hidden_share"].mean == pytest.approx(report.total.hidden_share, abs=1e-4)
    assert job["ranks"].mean == ranks
    assert job["peak_allocated_bytes"].mean == report.total.memory.peak_allocated_bytes
    assert job["tokens_per_second"].mean == pytest.approx(report.tokens_per_second, rel=1e-3)
    assert report.ideal is not None
    assert job["ideal.step_ns"].mean == round(report.ideal.window_ns / steps)
    assert set(job) <= set(JOB_FIGURES)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_memory_of_a_job_is_that_of_its_largest_rank(order: tuple[int, int]) -> None:
    """A rank of which nothing is known does not count."""
    sizes = [dict.fromkeys(MEMORY, size) for size in (100, 300)]
    ranks = [SimpleNamespace(memory=SimpleNamespace(**sizes[rank])) for rank in order]
    ranks.append(SimpleNamespace(memory=SimpleNamespace(**dict.fromkeys(MEMORY))))
    report = SimpleNamespace(ranks=ranks)
    found = {name: METRICS[name].of(report) for name in MEMORY}  # type: ignore[arg-type]
    assert found == dict.fromkeys(MEMORY, 300)


def test_the_figures_of_every_rank_are_those_of_the_report(measured) -> None:
    snapshot, steps = take_snapshot([measured]), len(measured.report.per_step)
    for position, rank in enumerate(measured.report.ranks):
        for state in STATES:
            column = snapshot.ranks.get(f"{state}_ns")
            mean = column.mean[position] if column else 0
            assert mean == pytest.approx(rank.states_ns[state] / steps, abs=1)
        figure = snapshot.ranks["dispatch.hidden_ns"].at(position)
        assert figure is not None
        assert figure.mean == pytest.approx(rank.by_kind["dispatch"].hidden_ns / steps, abs=1)
        activations = snapshot.ranks["activation_bytes"].mean[position]
        assert activations == rank.memory.activation_bytes
    assert set(snapshot.ranks) <= set(RANK_FIGURES)


def test_computing_is_compute_and_overlap(measured) -> None:
    ranks = take_snapshot([measured]).ranks
    for computing, compute, overlap in zip(
        *(ranks[f"{name}_ns"].mean for name in ("compute", "compute_only", "overlap")), strict=True
    ):
        assert computing == pytest.approx((compute or 0) + (overlap or 0), abs=2)


def test_waits_are_the_regions_by_who_was_waited_for(measured) -> None:
    sums: dict[tuple[int, int], int] = {}
    for region in measured.report.regions:
        if region.cause_rank is not None:
            pair = (region.rank, region.cause_rank)
            sums[pair] = sums.get(pair, 0) + region.length_ns
    found = {(one.rank, one.waits_for): one.bubble_ns for one in take_snapshot([measured]).waits}
    steps = len(measured.report.per_step)
    assert found == {pair: round(total / steps) for pair, total in sums.items()}


def test_repeats_are_one_snapshot_with_a_spread_of_runs(measured) -> None:
    snapshot = take_snapshot([measured, measured])
    steps = len(measured.report.per_step)
    assert (snapshot.runs, snapshot.steps) == (["dualpipe"] * 2, [steps] * 2)
    assert snapshot.job["bubble_ns"].run_sd == 0
    assert snapshot.job["bubble_ns"].mean == take_snapshot([measured]).job["bubble_ns"].mean


def test_other_runs_are_no_repeats(measured) -> None:
    other = load_run(TRACES / "1f1b")
    with pytest.raises(DpprofError, match="1f1b: not a repeat of dualpipe: schedule is 1f1b"):
        take_snapshot([measured, Measured(other, analyze(other))])


def test_a_run_without_activity_is_refused(measured) -> None:
    empty = msgspec.structs.replace(measured.report, per_step=[])
    with pytest.raises(DpprofError, match="no steps with activity"):
        take_snapshot([Measured(measured.run, empty)])


def test_modelled_times_do_not_depend_on_versions_and_machine(measured) -> None:
    identity = take_snapshot([measured]).identity
    assert (identity.source, identity.versions, identity.device_name) == ("emulated", {}, None)
    assert identity.costs is not None
    assert identity.costs.startswith("unit-components ")
    assert (identity.schedule, identity.pp, identity.micro_batches) == ("dualpipe", 4, 8)
    assert mismatches(identity, identity) == []


def test_a_captured_run_is_of_its_machine_and_versions(measured) -> None:
    manifest = msgspec.structs.replace(
        measured.run.manifest,
        source="captured",
        device_name="H100",
        versions={"python": "3.11.7", "torch": "2.13.0", "dpprof": "0.1.0"},
    )
    from dpprof.gate.identity import identity_of

    run = load_run(TRACES / "dualpipe")
    object.__setattr__(run, "manifest", manifest)
    report = msgspec.structs.replace(measured.report, source="captured")
    identity = identity_of(run, report)
    assert identity.device_name == "H100"
    assert identity.versions == {"python": "3.11", "torch": "2.13.0"}


def test_what_took_no_time_is_told_from_what_is_not_known(make_simulated) -> None:
    snapshot = take_snapshot([make_simulated()])
    nothing = set(snapshot.nothing or [])
    assert {"exposed.broadcast_ns", "broadcast.total_ns", "memory_share"} <= nothing
    assert not nothing & set(snapshot.job)
    assert "wait_ns" in nothing | set(snapshot.job) | set(snapshot.missing)


@pytest.mark.parametrize(("counts", "mean"), [((3, 3, 3), 3), ((0, 3, 2), 2), ((1, 4, 4), 3)])
def test_what_a_run_has_once_is_the_mean_of_repeats(measured, counts, mean) -> None:
    runs = [
        Measured(measured.run, msgspec.structs.replace(measured.report, warnings=["late"] * count))
        for count in counts
    ]
    assert take_snapshot(runs).job["warnings"] == Figure(mean)
