"""What a search found, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.blocks.units import UNKNOWN, time_unit
from dpprof.search.find import FoundSchedule

SCHEMA_VERSION = 1


def found_json(found: FoundSchedule) -> str:
    """The JSON form: times in ns, `peak_bytes` by pipeline rank, shares 0 to 1."""
    more = found.more_memory
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "schedule": found.best.schedule.name,
        "step_ns": found.best.step_ns,
        "best_known": {
            "schedule": found.known.schedule.name,
            "step_ns": found.known.step_ns,
            "peak_chunks": list(found.known.peak_chunks),
            "peak_bytes": list(found.known.peak_bytes),
        },
        "layers": found.best.layers,
        "bound_ns": found.bound_ns,
        "gap_closed": found.gap_closed,
        "bubble_share": found.best.bubble_share,
        "limit_chunks": found.limit_chunks,
        "peak_chunks": list(found.best.peak_chunks),
        "peak_bytes": list(found.best.peak_bytes),
        "other_chunks": None
        if found.elsewhere is None
        else {
            "schedule": found.elsewhere.schedule.name,
            "layers": found.elsewhere.layers,
            "step_ns": found.elsewhere.step_ns,
            "peak_bytes": list(found.elsewhere.peak_bytes),
        },
        "one_more_chunk": None
        if more is None
        else {
            "step_ns": more.step_ns,
            "saves_ns": found.best.step_ns - more.step_ns,
            "peak_chunks": list(more.peak_chunks),
            "peak_bytes": list(more.peak_bytes),
        },
    }
    return json.dumps(content)


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
            f"{other.schedule.name} with chunks of {other.layers} layers takes "
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
