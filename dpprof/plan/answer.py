"""Answers which schedule, on how many pipeline ranks, takes the shortest step and fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dpprof.costs.stages import knows_memory, stage_layers, stage_memory
from dpprof.errors import DpprofError
from dpprof.plan.question import Plan, Question, Row
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.search.fast_step import Figures, fast_step
from dpprof.simulate.activations import peak_bytes
from dpprof.simulate.layers import chunk_layers
from dpprof.simulate.stage_timing import schedule_timing


def answer(question: Question) -> Plan:
    """Every configuration that there is, predicted by the simulator; sorted by fit and step.

    Raises `DpprofError` where no configuration is possible, with the first reasons.
    """
    rows, left_out = [], []
    for pp in question.pps or _divisors(question.ranks):
        for micro_batches in question.micro_batches:
            for name in question.names or schedule_names():
                try:
                    row = _row(question, name, pp, micro_batches)
                except DpprofError as error:
                    left_out.append(str(error))
                    continue
                if row is not None:
                    rows.append(row)
    if not rows:
        reasons = "; ".join(left_out[:3]) or "no schedule has so many chunks"
        raise DpprofError(f"nothing to plan: {reasons}")
    rows.sort(key=lambda row: (row.fits is False, row.step_ns, max(row.peak_bytes or (0,))))
    return Plan(tuple(_with_trades(rows)), tuple(left_out))


def _divisors(ranks: int) -> Iterator[int]:
    return (pp for pp in range(1, ranks + 1) if ranks % pp == 0)


def _row(question: Question, name: str, pp: int, micro_batches: int) -> Row | None:
    pipelines, rest = divmod(question.ranks, pp)
    if rest:
        raise DpprofError(f"{question.ranks} ranks do not divide by {pp} pipeline ranks")
    own, rest = divmod(micro_batches, pipelines)
    if rest or not own:
        raise DpprofError(f"{micro_batches} micro-batches do not divide by {pipelines} pipelines")
    schedule = make_schedule(name, pp, own)
    chunks = schedule.placement.stage_count // pp
    if question.chunks and chunks not in question.chunks:
        return None
    return predicted(question, schedule, chunk_layers(question.costs, schedule, question.layers))


def predicted(question: Question, schedule: Schedule, layers: int | None) -> Row:
    """The row of a schedule whose stages have `layers` layers (None: as the costs list them).

    Raises as `fast_step` does.
    """
    figures = fast_step(schedule, schedule_timing(schedule, question.costs, layers))
    return _judged(question, schedule, layers, figures)


def _judged(question: Question, schedule: Schedule, layers: int | None, figures: Figures) -> Row:
    costs, pipelines = question.costs, question.ranks // schedule.pp
    bytes_ = _peak_bytes(question, schedule, layers)
    over = None
    if bytes_ is not None and question.memory_bytes is not None:
        over = max(0, max(bytes_) - question.memory_bytes)
    tokens = costs.tokens_per_micro_batch
    cut = stage_layers(costs, schedule.placement.stage_count, layers)
    done = schedule.micro_batches * pipelines
    return Row(
        schedule=schedule.name,
        pp=schedule.pp,
        pipelines=pipelines,
        chunks=schedule.placement.stage_count // schedule.pp,
        micro_batches=schedule.micro_batches,
        layers=max(cut),
        stage_layers=cut,
        step_ns=figures.step_ns,
        tokens_per_second=None if tokens is None else tokens * done / figures.step_ns * 1e9,
        bubble_share=1 - sum(figures.busy_ns) / (figures.step_ns * schedule.pp),
        peak_chunks=figures.peak_chunks,
        peak_bytes=bytes_,
        fits=None if over is None else over == 0,
        over_bytes=over,
    )


def _peak_bytes(
    question: Question, schedule: Schedule, layers: int | None
) -> tuple[int, ...] | None:
    if not knows_memory(question.costs):
        return None
    stages = stage_memory(question.costs, schedule.placement.stage_count, layers)
    return peak_bytes(schedule, stages)


def _with_trades(rows: list[Row]) -> Iterator[Row]:
    """Mark the Pareto front of step and memory; rows come in the order of steps within a fit."""
    known = [row for row in rows if row.peak_bytes is not None]
    least: dict[int, int] = {}
    smallest: int | None = None
    for row in sorted(known, key=lambda row: (row.step_ns, max(row.peak_bytes or (0,)))):
        held = max(row.peak_bytes or (0,))
        if smallest is None or held < smallest:
            smallest = held
            least[id(row)] = held
    return (replace(row, best_trade=id(row) in least) for row in rows)
