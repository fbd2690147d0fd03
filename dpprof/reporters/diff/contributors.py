"""The tables of a diff that say who carries it: ranks, stages, operations, slots, kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dpprof.analysis.diff.model import KernelDiff, MemoryDiff, Part, SlotDiff
from dpprof.analysis.diff.part_names import BUBBLE, COMPUTING, EXPOSED
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import UNKNOWN, ByteUnit, byte_unit
from dpprof.reporters.diff.kernel_names import shown_names
from dpprof.reporters.diff.layout import Layout, Row
from dpprof.reporters.diff.sentences import busy_change, per_step, signed
from dpprof.reporters.report.rank_sections import MOST_RANKS
from dpprof.tables.devices import rank_label
from dpprof.tables.kinds import COMPUTE_ONLY, FUSED, MEMORY, OVERLAP

MOST_ROWS = 10
_BUSY = (COMPUTE_ONLY, OVERLAP, EXPOSED, MEMORY, FUSED)
_STATE_COLUMNS = (COMPUTE_ONLY, OVERLAP, EXPOSED, BUBBLE)


class Carriers(Layout):
    """Makes the tables; those with nothing to say have no rows."""

    def ranks(self) -> Section:
        """What changed on each rank."""
        ordered = sorted(self.diff.ranks, key=lambda rank: -abs(busy_change(rank)))
        rows = tuple(
            (
                Cell(_renumbered(rank_label(rank.base_rank), rank_label(rank.new_rank))),
                Cell(_renumbered(_list(rank.base_stages), _list(rank.new_stages))),
                *self._state_changes(rank.time, self.diff.steps),
                Cell(self._peak_change(rank.memory)),
            )
            for rank in ordered[:MOST_RANKS]
        )
        more = len(ordered) - MOST_RANKS
        notes = (f"... and {more} more ranks; --format json has them all",) if more > 0 else ()
        return Section(
            f"Changes by rank ({self.unit.name} per step; peak in {self._bytes.name}; the largest "
            "change of busy time first)",
            ("rank", "stages", *_STATE_COLUMNS, "peak"),
            rows if len(rows) > 1 else (),
            notes,
            text_columns=2,
        )

    def stages(self) -> Section:
        """What changed in each stage, whichever ranks hold it."""
        rows = tuple(
            (
                Cell("none" if stage.stage is None else str(stage.stage)),
                Cell(_renumbered(_list(stage.base_ranks), _list(stage.new_ranks))),
                *self._state_changes(stage.time, self.diff.steps),
                Cell(self._peak_change(stage.memory)),
            )
            for stage in self.diff.stages[:MOST_RANKS]
        )
        more = len(self.diff.stages) - MOST_RANKS
        notes = (f"... and {more} more stages; --format json has them all",) if more > 0 else ()
        return Section(
            f"Changes by stage ({self.unit.name} per step, all ranks together; peak in "
            f"{self._bytes.name})",
            ("stage", "ranks", *_STATE_COLUMNS, "peak"),
            rows,
            (*notes, *(["none: idle with nothing left to start"] if rows else [])),
            text_columns=2,
        )

    @property
    def _bytes(self) -> ByteUnit:
        return byte_unit(self.diff.memory.new_bytes)

    def _peak_change(self, memory: MemoryDiff | None) -> str:
        if memory is None or memory.change_bytes is None:
            return UNKNOWN
        text = f"{memory.change_bytes / self._bytes.bytes:+.2f}"
        return text if float(text) else "0.00"

    def _state_changes(self, time: Part, divisor: int) -> Iterator[Cell]:
        """Changes of compute, overlap, exposed and bubble."""
        top = {part.name: part for part in time.parts}
        inside = {part.name: part for part in top[COMPUTING].parts}
        for part in (inside[COMPUTE_ONLY], inside[OVERLAP], top["exposed"], top["bubble"]):
            yield Cell(signed(self.unit, part.change_ns / divisor))

    def operations(self) -> Section:
        """The operations that changed most, by state."""
        parts = self.shown(self.diff.operations.parts)[:MOST_ROWS]
        changes = [self._by_state(part) for part in parts]
        states = [state for state in _BUSY if any(state in one for one in changes)]
        names = shown_names((part.name for part in parts), self.name_width(3 + len(states)))
        rows = tuple(
            (
                Cell(names[part.name]),
                *self.times(part),
                *(Cell(signed(self.unit, one.get(state, 0))) for state in states),
            )
            for part, one in zip(parts, changes, strict=True)
        )
        return Section(
            f"Operations that changed most ({self.unit.name} per step, mean of the ranks)",
            ("operation", "base", "new", "change", *states),
            rows,
        )

    def _by_state(self, part: Part) -> dict[str, float]:
        """Changes by state, all exposed communication together; only what is not 0."""
        changes: dict[str, float] = {}
        for state in part.parts:
            name = state.name.partition(".")[0]
            change = changes.get(name, 0) + state.change_ns / per_step(self.diff)
            changes[name] = change
        return {name: change for name, change in changes.items() if change}

    def slots(self) -> Section:
        """The slots that changed most, as far as both sides say which is which."""
        known = [
            slot
            for slot in self.diff.slots.rows
            if slot.stage is not None or slot.micro_batch is not None
        ]
        rows = tuple(
            (
                Cell(_slot_words(slot)),
                Cell(_ran_in(slot.base_slot, slot.base_ranks)),
                Cell(_ran_in(slot.new_slot, slot.new_ranks)),
                *self.times(slot, self.diff.steps),
            )
            for slot in known[:MOST_ROWS]
            if slot.change_ns
        )
        return Section(
            f"Slots that changed most ({self.unit.name} per step: activity, without gaps)",
            ("", "base slot", "new slot", "base", "new", "change"),
            rows,
            text_columns=3,
        )

    def kernels(self) -> Section:
        """The kernels that changed most, unless they are what the operations say already."""
        operations = {part.name for part in self.diff.operations.parts} | {"send", "recv"}
        if self.diff.alignment.by and all(
            {*row.base_names, *row.new_names} <= operations for row in self.diff.kernels.rows
        ):
            return Section("", (), ())
        shown = self.diff.kernels.rows[:MOST_ROWS]
        longest = max(len(_names_words(row)) for row in shown) if shown else 0
        names = shown_names((row.title for row in shown), self.name_width(5, longest))
        rows = tuple(self._kernel(row, names[row.title]) for row in shown)
        return Section(
            f"Kernels that changed most ({self.unit.name} per step, mean of the ranks)",
            ("kernel", "names", "base calls", "new calls", "base", "new", "change"),
            rows,
            text_columns=2,
        )

    def _kernel(self, row: KernelDiff, name: str) -> Row:
        count = per_step(self.diff)
        calls = (Cell(f"{calls / count:.4g}") for calls in (row.base_calls, row.new_calls))
        return (Cell(name), Cell(_names_words(row)), *calls, *self.times(row))


def _renumbered(base: str, new: str) -> str:
    return base if base == new else f"{base} -> {new}"


def _list(numbers: Iterable[object]) -> str:
    shown = [str(number) for number in numbers]
    if len(shown) > 4:
        shown = [*shown[:3], f"... {shown[-1]}"]
    return ", ".join(shown) or "none"


def _slot_words(slot: SlotDiff) -> str:
    words = [slot.operation]
    if slot.stage is not None:
        words.append(f"stage {slot.stage}")
    if slot.micro_batch is not None:
        words.append(f"mb {slot.micro_batch}")
    return ", ".join(words)


def _ran_in(slot: str | None, ranks: Iterable[int]) -> str:
    return "-" if slot is None else f"{_list(slot.split(', '))} (rank {_list(ranks)})"


def _names_words(row: KernelDiff) -> str:
    if row.presence != "both":
        return row.presence
    if row.rule == "same":
        return "same"
    return f"{len(row.base_names)} -> {len(row.new_names)} by {row.rule}"
