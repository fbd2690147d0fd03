"""Measures a snapshot: the figures of a run, or of repeated runs of one thing, with spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dpprof
from dpprof.analysis.metrics import BLOCKING_UNKNOWN, IDEAL, METRICS
from dpprof.analysis.model import Report
from dpprof.errors import DpprofError
from dpprof.gate.identity import identity_of, mismatches
from dpprof.gate.names import JOB_FIGURES, MEMORY, RANK_FIGURES
from dpprof.gate.samples import job_samples, rank_samples, unclaimed
from dpprof.gate.snapshot import FigureSnapshot, RankColumn, RankSeat, Waiting
from dpprof.runs.run import Run
from dpprof.statistics.figure import Figure, Number, Unit, figure_of


@dataclass(frozen=True)
class Measured:
    """A run and its report."""

    run: Run
    report: Report


def take_snapshot(measured: Sequence[Measured]) -> FigureSnapshot:
    """The figures of one run, or of several runs of the same thing together.

    Raises `DpprofError` for runs that are not of the same thing or have no steps.
    """
    first = measured[0]
    identity = identity_of(first.run, first.report)
    for other in measured[1:]:
        differing = mismatches(identity, identity_of(other.run, other.report))
        if differing:
            raise DpprofError(
                f"{other.report.name}: not a repeat of {first.report.name}: {differing[0].text}; "
                "give runs of the same thing"
            )
    for one in measured:
        if not one.report.per_step or not one.report.ranks:
            raise DpprofError(f"{one.report.name}: has no steps with activity; nothing to gate")
    figures, ranks, report = _job(measured), _ranks(measured), first.report
    nothing = [
        name
        for name, unit in JOB_FIGURES.items()
        if name in figures and not figures[name].mean and _zero_is_nothing(name, unit)
    ]
    job = {name: figure for name, figure in figures.items() if name not in nothing}
    return FigureSnapshot(
        dpprof=dpprof.__version__,
        created=first.run.manifest.created if first.run.manifest else "",
        runs=[one.report.name for one in measured],
        steps=[len(one.report.per_step) for one in measured],
        identity=identity,
        places=[
            RankSeat(rank=one.rank, pp_rank=one.pp_rank, stages=one.stages) for one in report.ranks
        ],
        job=job,
        ranks=ranks,
        waits=_waits(report),
        slow_slots=report.slow_slots,
        nothing=nothing,
        missing=_missing(report, job),
        evidence=list(dict.fromkeys(one for run in measured for one in run.report.evidence)),
        warnings=list(dict.fromkeys(text for one in measured for text in one.report.warnings)),
    )


def _job(measured: Sequence[Measured]) -> dict[str, Figure]:
    samples = [job_samples(one.report) for one in measured]
    figures = {
        name: figure_of([one[name] for one in samples], unit)
        for name, unit in JOB_FIGURES.items()
        if all(name in one for one in samples)
    }
    single = [_job_values(one) for one in measured]
    for name in single[0]:
        values = [one[name] for one in single if name in one]
        mean = sum(values) / len(values)
        figures[name] = Figure(values[0] if len(set(values)) == 1 else round(mean))
    return {name: figures[name] for name in JOB_FIGURES if name in figures}


def _zero_is_nothing(name: str, unit: Unit) -> bool:
    """Times of what does not occur are left out; that nothing is hidden is worth saying."""
    return unit in ("ns", "share") and not name.endswith("hidden_share")


def _ranks(measured: Sequence[Measured]) -> dict[str, RankColumn]:
    samples = [rank_samples(one.report) for one in measured]
    count = len(measured[0].report.ranks)
    columns = {}
    for name, unit in RANK_FIGURES.items():
        by_rank = [
            [one[position][name] for one in samples if name in one[position]]
            for position in range(count)
        ]
        if not any(by_rank):
            continue
        figures = [figure_of(runs, unit) if len(runs) == len(samples) else None for runs in by_rank]
        nothing = not any(figure and figure.mean for figure in figures)
        if not (nothing and _zero_is_nothing(name, unit)):
            columns[name] = _column(figures)
    return columns


def _column(figures: Sequence[Figure | None]) -> RankColumn:
    def spread(values: list[Number | None]) -> list[Number | None] | None:
        return values if any(value is not None for value in values) else None

    return RankColumn(
        mean=[None if figure is None else figure.mean for figure in figures],
        middle=spread([None if figure is None else figure.middle for figure in figures]),
        step_sd=spread([None if figure is None else figure.step_sd for figure in figures]),
        run_sd=spread([None if figure is None else figure.run_sd for figure in figures]),
    )


def _job_values(measured: Measured) -> dict[str, Number]:
    """Figures that a run has once, not per step."""
    found = {
        name: metric.of(measured.report)
        for name, metric in METRICS.items()
        if (metric.memory or metric.once) and not metric.by_step and metric.unit != "text"
    }
    return {name: value for name, value in found.items() if value is not None}


def _waits(report: Report) -> list[Waiting]:
    sums: dict[tuple[int, int], int] = {}
    for region in report.regions:
        if region.cause_rank is not None:
            pair = (region.rank, region.cause_rank)
            sums[pair] = sums.get(pair, 0) + region.length_ns
    steps = len(report.per_step)
    return [
        Waiting(rank=rank, waits_for=cause, bubble_ns=round(total / steps))
        for (rank, cause), total in sorted(sums.items())
        if total >= steps
    ]


def _missing(report: Report, job: dict[str, Figure]) -> dict[str, str]:
    """Why figures are not there; what is neither there nor here took no time."""
    reasons = unclaimed(report.total)
    kinds = {f"{kind}.": figures for kind, figures in report.total.by_kind.items()}
    for kind, figures in ({"": report.total} | kinds).items():
        if figures.wait_ns is None:
            reasons[f"{kind}wait_ns"] = _UNSPLIT
        if figures.blocking_ns is None:
            reasons[f"{kind}blocking_ns"] = BLOCKING_UNKNOWN
    memory = next((reason for rank in report.ranks for reason in rank.memory.reasons), "not known")
    reasons |= {name: memory for name in MEMORY if name not in job}
    if not report.total.communication_ns:
        reasons["hidden_share"] = "no communication"
    for name in ("tokens_per_second", "model_flops_per_second"):
        if name not in job:
            reasons[name] = "the run does not say how many there are in a step"
    if report.ideal is None:
        reasons[IDEAL] = "no ideal: the schedule or the costs of its slots are not known"
    elif report.ideal.closed_form_ns is None:
        reasons[f"{IDEAL}closed_form_ns"] = "no closed form for these costs"
    return reasons


_UNSPLIT = "unsplit: operations were not matched with their peers', so waiting is not known"
