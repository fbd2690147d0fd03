"""The tables of a diff about memory, and about what schedules promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dpprof.analysis.diff.model import Bytes, Diff, MemoryDiff, Theory, TheoryDiff
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import UNKNOWN, bytes_text, rate_text
from dpprof.reporters.diff.sentences import signed_bytes, unit_of_diff
from dpprof.tables.devices import rank_name

_TITLES = {
    "parameters": "parameters of a rank",
    "activations": "micro-batches in flight",
    "bubble": "bubble of the worst rank",
    "throughput": "tokens/s",
}
_SHOWN_SHARE = 0.0005
"""Of the whole: smaller parts are left out of tables for people."""
_Row = tuple[Cell, ...]


def memory_section(diff: Diff) -> Section:
    """The largest peak by what it is made of."""
    memory = diff.memory
    whole = Bytes(
        name="peak",
        base_bytes=memory.base_bytes,
        new_bytes=memory.new_bytes,
        change_bytes=memory.change_bytes,
        parts=memory.parts,
    )
    known = memory.base_bytes is not None or memory.new_bytes is not None
    rows = tuple(_memory_rows(whole, 0)) if known else ()
    notes = tuple(dict.fromkeys(memory.reasons))
    title = f"Largest memory peak{_where(memory) if known else ''}"
    return Section(title, ("", "base", "new", "change"), rows, notes)


def _where(memory: MemoryDiff) -> str:
    """`` (rank 0 -> rank 6)``: whose peak it is on both sides, as far as it is known."""
    ranks = memory.base_rank, memory.new_rank
    words = [f"{rank_name(rank)}" if rank is not None else UNKNOWN for rank in ranks]
    return f" ({' -> '.join(dict.fromkeys(words))})"


def _memory_rows(part: Bytes, depth: int) -> Iterator[_Row]:
    sides = [
        "" if depth > 1 and size is None else bytes_text(size)
        for size in (part.base_bytes, part.new_bytes)
    ]
    cells = (*sides, signed_bytes(part.change_bytes))
    yield (Cell("  " * depth + part.name), *map(Cell, cells))
    for one in part.parts:
        if max(map(abs, _sizes(one))) >= _SHOWN_SHARE * max(map(abs, _sizes(part))):
            yield from _memory_rows(one, depth + 1)


def _sizes(part: Bytes) -> list[int]:
    return [part.base_bytes or 0, part.new_bytes or 0, part.change_bytes or 0]


def theory_section(diff: Diff) -> Section:
    """Measured beside the simulator's figure and the closed form, on both sides."""
    rows = [
        row
        for theory in diff.theory
        if any(
            figure is not None
            for side in (theory.base, theory.new)
            for figure in (side.ideal, side.closed_form)
        )
        for row in _theory_rows(theory, _texts(theory, diff))
    ]
    notes = [
        f"{name}, {_TITLES[theory.name]}: {side.reason}"
        for theory in diff.theory
        for name, side in (("BASE", theory.base), ("NEW", theory.new))
        if side.reason
    ]
    columns = ("", "side", "measured", "ideal", "closed form", "form")
    return Section(
        "Measured against theory (ideal: the simulator, with the run's own costs)",
        columns,
        tuple(rows),
        tuple(dict.fromkeys(notes)),
        text_columns=2,
    )


def _texts(theory: TheoryDiff, diff: Diff) -> Callable[[float | None], str]:
    match theory.unit:
        case "bytes":
            return lambda value: bytes_text(value)
        case "ns":
            return unit_of_diff(diff).full
        case "tokens/s":
            return rate_text
        case "chunks":
            return lambda value: UNKNOWN if value is None else f"{value:g}"


def _theory_rows(theory: TheoryDiff, text: Callable[[float | None], str]) -> Iterator[_Row]:
    for name, side in (("base", theory.base), ("new", theory.new)):
        title = _TITLES[theory.name] if name == "base" else ""
        figures = (text(side.measured), text(side.ideal), text(side.closed_form))
        yield tuple(map(Cell, (title, name, *figures, _form(side))))


def _form(side: Theory) -> str:
    return side.form or ("" if side.closed_form is None else "its own count")
