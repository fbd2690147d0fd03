"""What a search found, for people and for programs."""

from __future__ import annotations

import msgspec

from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.blocks.units import UNKNOWN, time_unit
from dpprof.search.candidate import Candidate
from dpprof.search.find import FoundSchedule

SCHEMA_VERSION = 1


class KnownSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A known schedule: its step, and the most that its pipeline ranks hold."""

    schedule: str
    layers: int | None  # of a stage; null: the costs list them
    step_ns: int
    peak_chunks: list[int]
    peak_bytes: list[int]


class MoreMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What was found with one chunk more on every rank."""

    step_ns: int
    saves_ns: int
    peak_chunks: list[int]
    peak_bytes: list[int]


class SearchJson(msgspec.Struct, frozen=True, kw_only=True):
    """What ``search --format json`` prints; `peak_bytes` by pipeline rank, shares 0 to 1."""

    schema_version: int = SCHEMA_VERSION
    schedule: str
    step_ns: int
    best_known: KnownSchedule
    layers: int | None
    bound_ns: int
    gap_closed: float | None
    bubble_share: float
    limit_chunks: int
    peak_chunks: list[int]
    peak_bytes: list[int]
    other_chunks: KnownSchedule | None
    one_more_chunk: MoreMemory | None


def found_json(found: FoundSchedule) -> str:
    """The JSON form; see `SearchJson`."""
    best, more = found.best, found.more_memory
    form = SearchJson(
        schedule=best.schedule.name,
        step_ns=best.step_ns,
        best_known=_known(found.known),
        layers=best.layers,
        bound_ns=found.bound_ns,
        gap_closed=found.gap_closed,
        bubble_share=best.bubble_share,
        limit_chunks=found.limit_chunks,
        peak_chunks=list(best.peak_chunks),
        peak_bytes=list(best.peak_bytes),
        other_chunks=None if found.elsewhere is None else _known(found.elsewhere),
        one_more_chunk=None
        if more is None
        else MoreMemory(
            step_ns=more.step_ns,
            saves_ns=best.step_ns - more.step_ns,
            peak_chunks=list(more.peak_chunks),
            peak_bytes=list(more.peak_bytes),
        ),
    )
    return msgspec.json.encode(form).decode()


def _known(known: Candidate) -> KnownSchedule:
    return KnownSchedule(
        schedule=known.schedule.name,
        layers=known.layers,
        step_ns=known.step_ns,
        peak_chunks=list(known.peak_chunks),
        peak_bytes=list(known.peak_bytes),
    )


def found_document(found: FoundSchedule) -> Document:
    """The answer first, then the schedules and the bound side by side."""
    unit = time_unit(found.known.step_ns)
    best, known = found.best, found.known
    rows = [
        ("found", best.step_ns, max(best.peak_chunks)),
        (f"best known: {known.schedule.name}", known.step_ns, max(known.peak_chunks)),
    ]
    if found.more_memory is not None:
        more = found.more_memory
        rows.append(("with one more chunk", more.step_ns, max(more.peak_chunks)))
    cells = [
        (Cell(name), Cell(unit.text(step)), Cell(_saved(step, known.step_ns)), Cell(str(chunks)))
        for name, step, chunks in rows
    ]
    other = found.elsewhere
    advice = []
    if other is not None:
        advice = [
            f"{other.schedule.name} with {other.stages} stages takes "
            f"{unit.full(other.step_ns)}: begin with --schedule {other.schedule.name}"
        ]
    bound = (Cell("no order is below"), Cell(unit.text(found.bound_ns)), Cell(""), Cell(""))
    return Document(
        title=f"{best.schedule.name}: {best.schedule.pp} ranks, "
        f"{best.schedule.micro_batches} micro-batches; SIMULATED",
        about=(),
        answer=(_answer(found),),
        blocks=(
            Section(
                f"Steps ({unit.name})",
                ("schedule", "step", "saved", "chunks in flight"),
                (*cells, bound),
                notes=(
                    f"no rank holds more than {found.limit_chunks} chunks of activations; the "
                    "bound knows of no memory limit and may lie below what is possible",
                    *advice,
                ),
            ),
        ),
    )


def _answer(found: FoundSchedule) -> str:
    unit = time_unit(found.known.step_ns)
    closed = found.gap_closed
    share = UNKNOWN if closed is None else f"{closed:.0%}"
    if found.best.step_ns >= found.known.step_ns:
        return f"nothing better than {found.known.schedule.name} was found; give more --seconds"
    return (
        f"step {unit.full(found.best.step_ns)}, "
        f"{_saved(found.best.step_ns, found.known.step_ns)} less than {found.known.schedule.name}: "
        f"{share} of the way to the bound"
    )


def _saved(step_ns: int, known_ns: int) -> str:
    return f"{(known_ns - step_ns) / known_ns:.1%}" if known_ns else ""
