"""A plan for people and for programs: configurations, best first."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from dpprof.plan.question import Plan, Question, Row
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit, time_unit

SCHEMA_VERSION = 1
_GIB = 2**30


@dataclass(frozen=True)
class PlanCheck:
    """The same prediction for a run that was made: its step, measured and predicted, in ns."""

    measured_ns: int
    predicted_ns: int

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of the measured step."""
        return self.predicted_ns / self.measured_ns - 1


class PlanJson(msgspec.Struct, frozen=True, kw_only=True):
    """What ``plan --format json`` writes: rows best first, `check` null where no run was given."""

    schema_version: int = SCHEMA_VERSION
    rows: list[Row]
    check: PlanCheck | None
    left_out: list[str]
    notes: list[str]


def plan_json(plan: Plan, check: PlanCheck | None) -> str:
    """The JSON form; see `PlanJson`."""
    form = PlanJson(
        rows=list(plan.rows), check=check, left_out=list(plan.left_out), notes=list(plan.notes)
    )
    return msgspec.json.encode(form).decode()


def plan_document(plan: Plan, check: PlanCheck | None, question: Question, shown: int) -> Document:
    """The best configuration first, then a table of the `shown` first rows."""
    unit = time_unit(next((row.step_ns for row in plan.rows if row.step_ns is not None), None))
    columns = ("schedule", "PP", "copies", "chunks", "batches", "layers", "step", "bubble")
    shares = any(row.ep for row in plan.rows)
    more = (*(("EP",) if shares else ()), "tokens/s", "GiB", "fits", "trade")
    notes = [
        "copies: pipelines that share the micro-batches; batches: micro-batches of each; layers: "
        "of a stage; GiB: of the fullest rank; trade *: no other row is as fast with less memory",
        "a row's schedule as JSON: --write-schedule FILE, with --row N where it is not the first; "
        "beside a run: dpprof dashboard RUN, page What if",
    ]
    if shares:
        notes.append(
            "EP: ranks that share the experts; it sets what a rank holds and how many ranks its "
            "tokens go to"
        )
    notes += plan.notes
    if any(row.recompute == "full" for row in plan.rows):
        notes.append("layers with R: all activations are made again in the backward")
    unequal = next((row for row in plan.rows[:shown] if len(set(row.stage_layers)) > 1), None)
    if unequal is not None:
        cut = ",".join(map(str, unequal.stage_layers))
        notes.append(f"unequal stages, such as {unequal.schedule} on PP {unequal.pp}: {cut} layers")
    if len(plan.rows) > shown:
        notes.append(f"{len(plan.rows) - shown} more rows: --rows, or --format json")
    if plan.left_out:
        notes.append(f"{len(plan.left_out)} left out, such as {plan.left_out[0]}")
    return Document(
        title=f"{question.ranks} ranks, {question.layers} layers, costs {question.costs.name}; "
        "PREDICTED by the simulator",
        about=_about(check),
        answer=(_answer(plan, unit),),
        blocks=(
            Section(
                f"Configurations (step in {unit.name}, best first)",
                (*columns, *more),
                tuple(_cells(row, unit) for row in plan.rows[:shown]),
                notes=tuple(notes),
            ),
        ),
    )


def _about(check: PlanCheck | None) -> tuple[str, ...]:
    if check is None:
        return ()
    unit = time_unit(check.measured_ns)
    return (
        f"the same prediction for the run: {unit.full(check.predicted_ns)}, measured "
        f"{unit.full(check.measured_ns)} ({check.error:+.2%})",
    )


def _answer(plan: Plan, unit: TimeUnit) -> str:
    best = plan.rows[0]
    if best.fits is False:
        fastest = "is the fastest and lacks" if best.step_ns else "lacks"
        return (
            f"nothing fits: {best.schedule} on PP {best.pp} {fastest} "
            f"{(best.over_bytes or 0) / _GIB:.1f} GiB on its fullest rank"
        )
    words = f"{best.schedule} on PP {best.pp} with {best.chunks} chunk(s) a rank: "
    return words + (f"step {unit.full(best.step_ns)}" if best.step_ns else "times are not known")


def _cells(row: Row, unit: TimeUnit) -> tuple[Cell, ...]:
    peak = UNKNOWN if row.peak_bytes is None else f"{max(row.peak_bytes) / _GIB:.1f}"
    tokens = UNKNOWN if row.tokens_per_second is None else f"{row.tokens_per_second:,.0f}"
    numbers = (row.pp, row.pipelines, row.chunks, row.micro_batches)
    texts = (
        row.schedule,
        *map(str, numbers),
        _layers(row),
        UNKNOWN if row.step_ns is None else unit.text(row.step_ns),
        UNKNOWN if row.bubble_share is None else f"{row.bubble_share:.1%}",
        *([str(row.ep)] if row.ep else []),
        tokens,
        peak,
        _fit(row),
        "*" if row.best_trade else "",
    )
    return tuple(map(Cell, texts))


def _layers(row: Row) -> str:
    """Of a stage, as in ``3``, ``2-4`` where stages differ, ``3 R`` with recomputation."""
    least, most = min(row.stage_layers), max(row.stage_layers)
    text = str(most) if least == most else f"{least}-{most}"
    return f"{text} R" if row.recompute == "full" else text


def _fit(row: Row) -> str:
    if row.fits is None:
        return UNKNOWN
    return "yes" if row.fits else f"+{(row.over_bytes or 0) / _GIB:.1f}"
