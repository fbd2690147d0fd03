"""Draws a schedule for people: a row per rank, time to the right, wrapped to a terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dpprof.schedules.actions import OVERLAPPED_PAIR, Slot, slot_operation, slot_text
from dpprof.schedules.execution import Span, execute
from dpprof.schedules.schedule import Schedule

UNIT_DURATIONS = {"F": 1, "B": 2, "I": 1, "W": 1, OVERLAPPED_PAIR: 3}
"""Columns that an operation takes: I and W are the halves of B, a pair is a forward and a B."""

_MEANINGS = {
    "F": "forward",
    "B": "backward",
    "I": "input-gradient part of a backward",
    "W": "weight-gradient part",
    OVERLAPPED_PAIR: "overlapped pair",
}


Paint = Callable[[str, str], str]


def unpainted(operation: str, text: str) -> str:
    """The `Paint` that adds no colour."""
    return text


class _Layout(NamedTuple):
    """How time maps to lines: characters a column, columns a block, columns in all."""

    column_width: int
    block_columns: int
    columns: int

    @property
    def blocks(self) -> int:
        return -(-self.columns // self.block_columns)


def schedule_grid(schedule: Schedule, width: int = 100, paint: Paint = unpainted) -> str:
    """The grid of a schedule and its legend, in lines of at most `width` characters.

    A column is a unit of time of the run by dependencies alone (`UNIT_DURATIONS`, messages
    free). The grid goes on in a further block where the line is full; a block has one column at
    least, whatever the width. ``paint(operation, text)`` may add colour to a text but must keep
    its visible length. The schedule must be free of deadlock.
    """
    execution = execute(schedule, UNIT_DURATIONS)
    names = [f"rank {pp_rank}" for pp_rank in range(schedule.pp)]
    name_width = len(names[-1]) + 1
    column_width = _column_width(schedule)
    block_columns = max(1, (width - name_width) // column_width)
    layout = _Layout(column_width, block_columns, execution.makespan)
    lines = [
        _rank_lines(slots, spans, layout, paint)
        for slots, spans in zip(schedule.ranks, execution.spans, strict=True)
    ]
    blocks = [
        "\n".join(
            ["time".ljust(name_width) + _ruler(layout, block)]
            + [names[rank].ljust(name_width) + lines[rank][block] for rank in range(schedule.pp)]
        )
        for block in range(layout.blocks)
    ]
    return "\n\n".join([*blocks, _legend(schedule, width, paint)])


def _column_width(schedule: Schedule) -> int:
    """Wide enough for every slot's text and a blank within the columns that the slot takes."""
    sizes = {
        (len(slot_text(slot)) + 1, UNIT_DURATIONS[slot_operation(slot)])
        for rank in schedule.ranks
        for slot in rank
    }
    return max((-(-characters // columns) for characters, columns in sizes), default=1)


def _rank_lines(
    slots: Sequence[Slot], spans: Sequence[Span], layout: _Layout, paint: Paint
) -> list[str]:
    """A rank's line in every block."""
    lines: list[list[str]] = [[] for _ in range(layout.blocks)]
    size = layout.block_columns
    for slot, start, end in _with_idle(slots, spans, layout.columns):
        for block in range(start // size, (end - 1) // size + 1):
            first, last = max(start, block * size), min(end, (block + 1) * size)
            length = (last - first) * layout.column_width
            if slot is None:
                lines[block].append(".".ljust(layout.column_width) * (last - first))
            else:
                text = slot_text(slot) if first == start else "-" + slot_text(slot)
                cell = text[: length - 1].ljust(length - 1, "-")
                lines[block].append(paint(slot_operation(slot), cell) + " ")
    return ["".join(parts).rstrip() for parts in lines]


def _with_idle(
    slots: Sequence[Slot], spans: Sequence[Span], columns: int
) -> Iterator[tuple[Slot | None, int, int]]:
    """Slots with start and end, and None for the idle time between them."""
    before = 0
    for slot, span in zip(slots, spans, strict=True):
        if span.start > before:
            yield None, before, span.start
        yield slot, span.start, span.end
        before = span.end
    if columns > before:
        yield None, before, columns


def _ruler(layout: _Layout, block: int) -> str:
    """The time at the start of as many columns as there is room for."""
    every = -(-(len(str(layout.columns)) + 1) // layout.column_width)
    first = block * layout.block_columns
    last = min(first + layout.block_columns, layout.columns)
    wide = every * layout.column_width
    return "".join(str(time).ljust(wide) for time in range(first, last, every)).rstrip()


def _legend(schedule: Schedule, width: int, paint: Paint) -> str:
    """What the signs mean; names only the operations that occur."""
    present = {slot_operation(slot) for rank in schedule.ranks for slot in rank}
    items = [
        (operation, f"{meaning} ({UNIT_DURATIONS[operation]})")
        for operation, meaning in _MEANINGS.items()
        if operation in present
    ]
    items += [(".", "idle"), ("F0.3", "direction 0, micro-batch 3"), ("-", "goes on")]
    lines, room = [""], width
    for sign, meaning in items:
        if room < width and len(sign) + len(meaning) + 4 > room:
            lines, room = [*lines, ""], width
        painted = paint(sign, sign) if sign in present else sign
        lines[-1] += f"{painted}  {meaning}    "
        room -= len(sign) + len(meaning) + 6
    return "\n".join(line.rstrip() for line in lines)
