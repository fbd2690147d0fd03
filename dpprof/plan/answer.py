"""Answers which schedule, on how many pipeline ranks, takes the shortest step and fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dpprof.costs.stages import delay_notes
from dpprof.errors import DpprofError
from dpprof.plan.predict import Predictor
from dpprof.plan.question import Plan, Question, Row
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule

_MENDED = 5
"""So many of the best rows with unequal stages have their layers moved to see if it helps."""


def answer(question: Question) -> Plan:
    """Every configuration that there is, predicted by the simulator; sorted by fit and step.

    Raises `DpprofError` where no configuration is possible, with the first reasons.
    """
    predictor = Predictor(question)
    rows, left_out = [], []
    for name, pp, micro_batches in _sizes(question):
        try:
            schedule = _schedule(question, name, pp, micro_batches)
            if schedule is not None:
                rows += [predictor.row(schedule, recompute) for recompute in question.recompute]
        except DpprofError as error:
            left_out.append(str(error))
    if not rows:
        reasons = "; ".join(left_out[:3]) or "no schedule has so many chunks"
        raise DpprofError(f"nothing to plan: {reasons}")
    rows = _mended(predictor, sorted(rows, key=_order))
    rows = list(_with_trades(sorted(rows, key=_order)))
    return Plan(tuple(rows), tuple(left_out), tuple(_notes(question, rows)))


def answers(questions: Sequence[Question]) -> Plan:
    """The rows of several questions in one table; those without any are left out.

    Raises `DpprofError` where none has a row.
    """
    plans, refused = [], []
    for question in questions:
        try:
            plans.append(answer(question))
        except DpprofError as error:
            refused.append(str(error))
    if not plans:
        raise DpprofError(refused[0])
    rows = sorted((row for plan in plans for row in plan.rows), key=_order)
    left_out = [*(text for plan in plans for text in plan.left_out), *refused]
    notes = dict.fromkeys(note for plan in plans for note in plan.notes)
    return Plan(tuple(_with_trades(rows)), tuple(left_out), tuple(notes))


def _notes(question: Question, rows: Sequence[Row]) -> Iterator[str]:
    if question.times_unknown:
        yield question.times_unknown
    for pp in sorted({row.pp for row in rows}):
        yield from delay_notes(question.costs, pp)


def _sizes(question: Question) -> Iterator[tuple[str, int, int]]:
    for pp in question.pps or _divisors(question.ranks):
        for micro_batches in question.micro_batches:
            for name in question.names or schedule_names():
                yield name, pp, micro_batches


def _order(row: Row) -> tuple[bool, bool, int, int]:
    return row.fits is False, row.step_ns is None, row.step_ns or 0, max(row.peak_bytes or (0,))


def _mended(predictor: Predictor, rows: list[Row]) -> list[Row]:
    """The rows, the best of those whose stages are unequal with their layers moved about."""
    unequal = [
        place
        for place, row in enumerate(rows)
        if len(set(row.stage_layers)) > 1 and row.step_ns is not None
    ]
    for place in unequal[:_MENDED]:
        row = rows[place]
        schedule = make_schedule(row.schedule, row.pp, row.micro_batches)
        rows[place] = predictor.mended(row, schedule)
    return rows


def _divisors(ranks: int) -> Iterator[int]:
    return (pp for pp in range(1, ranks + 1) if ranks % pp == 0)


def _schedule(question: Question, name: str, pp: int, micro_batches: int) -> Schedule | None:
    """The schedule of one pipeline; None where it has other chunks than are asked for."""
    pipelines, rest = divmod(question.ranks, pp)
    if rest:
        raise DpprofError(f"{question.ranks} ranks do not divide by {pp} pipeline ranks")
    if question.ep and pipelines % question.ep:
        raise DpprofError(
            f"{question.ep} ranks that share experts do not divide the {pipelines} ranks of a stage"
        )
    own, rest = divmod(micro_batches, pipelines)
    if rest or not own:
        raise DpprofError(f"{micro_batches} micro-batches do not divide by {pipelines} pipelines")
    schedule = make_schedule(name, pp, own)
    chunks = schedule.placement.stage_count // pp
    return None if question.chunks and chunks not in question.chunks else schedule


def _with_trades(rows: list[Row]) -> Iterator[Row]:
    """Mark the Pareto front of step and memory; rows come in the order of steps within a fit."""
    known = [row for row in rows if row.peak_bytes is not None and row.step_ns is not None]
    least: dict[int, int] = {}
    smallest: int | None = None
    for row in sorted(known, key=lambda row: (row.step_ns or 0, max(row.peak_bytes or (0,)))):
        held = max(row.peak_bytes or (0,))
        if smallest is None or held < smallest:
            smallest = held
            least[id(row)] = held
    return (replace(row, best_trade=id(row) in least) for row in rows)
