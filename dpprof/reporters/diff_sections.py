"""The tables of a diff: the step, its work and communication, then who carries the change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from dpprof.analysis.diff.figures import Diff, KernelDiff, MemoryDiff, Part, SlotDiff
from dpprof.analysis.diff.names import family
from dpprof.analysis.diff.part_names import (
    BUBBLE,
    COMPUTING,
    EXPOSED,
    HIDDEN_PART,
    NO_PEER,
    TRANSFERS,
    UNDER_OTHERS,
)
from dpprof.reporters.content import MOST_RANKS, Cell, Section
from dpprof.reporters.diff_words import busy_change, interval_text, per_step, signed, unit_of_diff
from dpprof.reporters.kinds import short_name
from dpprof.reporters.units import UNKNOWN, ByteUnit, TimeUnit, byte_unit
from dpprof.tables.kinds import (
    BUBBLE_DEPENDENCY,
    BUBBLE_DRAIN,
    BUBBLE_WARMUP,
    COMPUTE,
    MEMORY,
    OVERLAP,
)

MOST_ROWS = 10
_MOST_CAUSES = 3
_MOST_OPERATIONS = 5
_INDENT = "  "
_OTHER_COLUMNS = 55  # characters that the columns beside a name take
_SHORTEST_NAME = 24
_SHOWN_SHARE = 0.0002
"""Of the step: parts that take less on both sides are left out of tables for people."""

_Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Tables:
    """Makes the tables of a diff; `width` is how many characters a line may have."""

    diff: Diff
    width: int

    @property
    def unit(self) -> TimeUnit:
        """The unit of all times."""
        return unit_of_diff(self.diff)

    def step(self) -> Section:
        """The step by state, with the causes of bubbles."""
        rows = [
            self._part_row(part, depth, with_effect=True)
            for part, depth in self._walk(self.diff.time)
        ]
        title = f"Step by state ({self.unit.name} per step, mean of the ranks; share of BASE's step"
        columns: tuple[str, ...] = ("", "base", "new", "change", "share")
        if self.diff.unknown_effects:
            note = f"intervals: n/a, {self.diff.unknown_effects}"
            return Section(f"{title})", columns, tuple(row[:-1] for row in rows), (note,))
        doubtful = any(row[-1].share for row in rows)
        notes = ("n.s.: not significant, the interval holds 0",) if doubtful else ()
        columns = (*columns, "interval")
        return Section(f"{title}; 95 % intervals)", columns, tuple(rows), notes)

    def _walk(self, part: Part, depth: int = 0) -> Iterator[tuple[Part, int]]:
        """The parts of the step that are shown, states and the largest causes of bubbles."""
        yield part, depth
        if part.name.startswith(f"{EXPOSED}."):
            return
        is_state = part.name.startswith(f"{BUBBLE}.")
        most = _MOST_CAUSES if is_state else None
        for one in self._shown(part.parts)[:most]:
            words = _cause_words(part.name, one.name) if is_state else one.name
            yield from self._walk(replace(one, name=words), depth + 1)

    def _shown(self, parts: Iterable[Part]) -> list[Part]:
        least = _SHOWN_SHARE * max(self.diff.time.base_ns, self.diff.time.new_ns)
        return [part for part in parts if max(abs(part.base_ns), abs(part.new_ns)) >= least]

    def _part_row(self, part: Part, depth: int, *, with_effect: bool = False) -> _Row:
        name = _shortened(part.name, self._name_width)
        cells = (Cell(_INDENT * depth + name), *self._times(part))
        if not with_effect:
            return cells
        share = part.change_ns / self.diff.time.base_ns if self.diff.time.base_ns else None
        shown = "" if share is None else f"{share:+.1%}"
        return (*cells, Cell(shown), self._effect(part))

    def _effect(self, part: Part) -> Cell:
        effect = part.effect
        if effect is None:
            return Cell("")
        return Cell(interval_text(effect, self.unit), "" if effect.significant else "n.s.")

    def _times(self, part: Part | SlotDiff | KernelDiff, divisor: int | None = None) -> _Row:
        count = per_step(self.diff) if divisor is None else divisor
        return (
            Cell(self.unit.text(part.base_ns / count)),
            Cell(self.unit.text(part.new_ns / count)),
            Cell(signed(self.unit, part.change_ns / count)),
        )

    @property
    def _name_width(self) -> int:
        return max(self.width - _OTHER_COLUMNS, _SHORTEST_NAME)

    def work(self) -> Section:
        """Computing by what is the same work, each by its largest operations."""
        rows = [self._part_row(self.diff.work, 0)]
        for part in self._shown(self.diff.work.parts):
            rows.append(self._part_row(part, 1))
            shown = self._shown(part.parts)[:_MOST_OPERATIONS]
            rows += [self._part_row(one, 2) for one in shown]
        title = f"Computing by work ({self.unit.name} per step, mean of the ranks)"
        return Section(title, ("", "base", "new", "change"), tuple(rows), (self._alignment(),))

    def _alignment(self) -> str:
        known = self.diff.alignment
        by = ", ".join(known.by).replace("_", "-") if known.by else "the names of kernels"
        return f"work is matched by {by}" + (f"; {known.note}" if known.note else "")

    def communication(self) -> Section:
        """Why each kind is exposed more or less."""
        exposed = next(part for part in self.diff.time.parts if part.name == EXPOSED)
        rows = [self._kind_row(part) for part in self._shown(exposed.parts)]
        return Section(
            f"Exposed communication ({self.unit.name} per step, mean of the ranks): change = "
            "longer - hidden - covered",
            ("kind", "base", "new", "change", "transfers longer", "hidden more", "covered more"),
            tuple(rows) if any(part.change_ns for part in exposed.parts) else (),
            ("covered: under transfers of another kind",),
        )

    def _kind_row(self, part: Part) -> _Row:
        inside = {one.name: one.change_ns / per_step(self.diff) for one in part.parts}
        longer = inside.get(TRANSFERS, 0)
        hidden, covered = -inside.get(HIDDEN_PART, 0), -inside.get(UNDER_OTHERS, 0)
        changes = (Cell(signed(self.unit, change)) for change in (longer, hidden, covered))
        return (Cell(part.name.partition(".")[2]), *self._times(part), *changes)

    def ranks(self) -> Section:
        """What changed on each rank."""
        ordered = sorted(self.diff.ranks, key=lambda rank: -abs(busy_change(rank)))
        rows = tuple(
            (
                Cell(_renumbered(str(rank.base_rank), str(rank.new_rank))),
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
        for part in (inside[COMPUTE], inside[OVERLAP], top["exposed"], top["bubble"]):
            yield Cell(signed(self.unit, part.change_ns / divisor))

    def operations(self) -> Section:
        """The operations that changed most, by state."""
        parts = self._shown(self.diff.operations.parts)[:MOST_ROWS]
        changes = [self._by_state(part) for part in parts]
        states = [state for state in _BUSY if any(state in one for one in changes)]
        rows = tuple(
            (
                Cell(_shortened(part.name, self._name_width - 9 * (len(states) - 1))),
                *self._times(part),
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
        """The slots that changed most."""
        rows = tuple(
            (
                Cell(_slot_words(slot)),
                Cell(_ran_in(slot.base_slot, slot.base_ranks)),
                Cell(_ran_in(slot.new_slot, slot.new_ranks)),
                *self._times(slot, self.diff.steps),
            )
            for slot in self.diff.slots.rows[:MOST_ROWS]
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
        rows = tuple(self._kernel(row) for row in self.diff.kernels.rows[:MOST_ROWS])
        return Section(
            f"Kernels that changed most ({self.unit.name} per step, mean of the ranks)",
            ("kernel", "names", "base calls", "new calls", "base", "new", "change"),
            rows,
            text_columns=2,
        )

    def _kernel(self, row: KernelDiff) -> _Row:
        count = per_step(self.diff)
        calls = (Cell(f"{calls / count:.4g}") for calls in (row.base_calls, row.new_calls))
        name = _shortened(row.title, max(self._name_width - 12, _SHORTEST_NAME))
        return (Cell(name), Cell(_names_words(row)), *calls, *self._times(row))

    def path(self) -> Section:
        """The critical path by kind."""
        path = self.diff.critical_path
        if path is None or not path.change_ns:
            return Section("", (), ())
        rows = tuple(
            (Cell(part.name.replace("_", " ")), *self._times(part, self.diff.steps))
            for part in sorted(self._shown(path.parts), key=lambda one: -abs(one.change_ns))
        )
        title = f"Critical path by kind ({self.unit.name} per step)"
        return Section(title, ("", "base", "new", "change"), rows)


_BUSY = (COMPUTE, OVERLAP, EXPOSED, MEMORY)
_STATE_COLUMNS = (COMPUTE, OVERLAP, EXPOSED, BUBBLE)


def _shortened(name: str, longest: int) -> str:
    """Operations stay whole, kernels lose their arguments, element-wise ones tell the functor."""
    if len(name) <= longest:
        return name
    functor = family(name)
    return functor if functor.startswith("element-wise") else short_name(name, longest)


_WAITING = (BUBBLE_WARMUP, BUBBLE_DEPENDENCY, BUBBLE_DRAIN)


def _cause_words(state: str, cause: str) -> str:
    """What a bubble waited for, in words."""
    return cause if state not in _WAITING or cause.startswith(NO_PEER) else f"waiting for {cause}"


def _renumbered(base: str, new: str) -> str:
    return base if base == new else f"{base} -> {new}"


def _list(numbers: Iterable[int]) -> str:
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
    return "-" if slot is None else f"{slot} (rank {_list(ranks)})"


def _names_words(row: KernelDiff) -> str:
    if row.presence != "both":
        return row.presence
    if row.rule == "same":
        return "same"
    return f"{len(row.base_names)} -> {len(row.new_names)} by {row.rule}"
