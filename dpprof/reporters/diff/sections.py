"""The tables of a diff that say what changed: the step, its communication, work and path."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dpprof.analysis.diff.model import Part
from dpprof.analysis.diff.part_names import (
    ADDED,
    BUBBLE,
    EXPOSED,
    HIDDEN_PART,
    REMOVED,
    TRANSFERS,
    UNDER_OTHERS,
)
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.diff.kernel_names import shortened, shown_names
from dpprof.reporters.diff.layout import Layout, Row
from dpprof.reporters.diff.sentences import interval_text, part_words, per_step, signed

_MOST_CAUSES = 3
_MOST_OPERATIONS = 5
_SHARE_AND_INTERVAL = 36  # characters
_INDENT = "  "
_STATES = "exposed: communication alone; overlap: computing that hides communication; bubble: idle"
_BETWEEN_STEPS = (
    "intervals: from the steps, and by how much such runs are taken to differ when made again"
)
_ADDED_AND_REMOVED = (
    "added: only NEW does it, or does it more often; removed: only BASE, or more often"
)
_NOT_SIGNIFICANT = (
    "n.s.: not significant at the 1 % level, which is stricter than the 95 % interval"
)


class Changes(Layout):
    """Makes the tables; those with nothing to say have no rows."""

    def step(self) -> Section:
        """The step by state, with the causes of bubbles."""
        rows = [self._step_row(part, depth) for part, depth in self._walk(self.diff.time)]
        title = f"Step by state ({self.unit.name} per step, mean of the ranks; share of BASE's step"
        columns: tuple[str, ...] = ("", "base", "new", "change", "share")
        if self.diff.unknown_effects:
            note = f"intervals: n/a, {self.diff.unknown_effects}"
            notes = (_STATES, *self._bounds(), note)
            return Section(f"{title})", columns, tuple(row[:-1] for row in rows), notes)
        doubtful = any(row[-1].share for row in rows)
        notes = (
            _STATES,
            *self._bounds(),
            _BETWEEN_STEPS,
            *([_NOT_SIGNIFICANT] if doubtful else []),
        )
        columns = (*columns, "interval")
        return Section(f"{title}; 95 % intervals)", columns, tuple(rows), notes)

    def _bounds(self) -> tuple[str, ...]:
        """What is known in part, and of which side."""
        sides = (("BASE", self.diff.base), ("NEW", self.diff.new))
        lacking = [
            f"{self.unit.full(side.unsplit_ns)} of {name}'s"
            for name, side in sides
            if side.unsplit_ns
        ]
        if not lacking:
            return ()
        return (
            f"bubble: at least; exposed and overlap: at most, as {' and '.join(lacking)} "
            "communication is not told from waiting",
        )

    def _walk(self, part: Part, depth: int = 0) -> Iterator[tuple[Part, int]]:
        """The parts of the step that are shown, states and the largest causes of bubbles."""
        yield part, depth
        if part.name.startswith(f"{EXPOSED}."):
            return
        is_state = part.name.startswith(f"{BUBBLE}.")
        most = _MOST_CAUSES if is_state else None
        for one in self.shown(part.parts)[:most]:
            yield from self._walk(replace(one, name=part_words(one, part.name)), depth + 1)

    def _step_row(self, part: Part, depth: int) -> Row:
        name = shortened(part.name, self.name_width(3, _SHARE_AND_INTERVAL))
        share = part.change_ns / self.diff.time.base_ns if self.diff.time.base_ns else None
        shown = "" if share is None else f"{share:+.1%}"
        return (*self._part_row(part, depth, name), Cell(shown), self._effect(part))

    def _part_row(self, part: Part, depth: int, name: str) -> Row:
        return (Cell(_INDENT * depth + name), *self.times(part))

    def _effect(self, part: Part) -> Cell:
        effect = part.effect
        if effect is None:
            return Cell("")
        return Cell(interval_text(effect, self.unit), "" if effect.significant else "n.s.")

    def work(self) -> Section:
        """Computing by what is the same work, each by its largest operations."""
        whole, classes = self.diff.work, self.shown(self.diff.work.parts)
        shown = {part.name: self.shown(part.parts)[:_MOST_OPERATIONS] for part in classes}
        longest = self.name_width(3, 2 * len(_INDENT))
        names = shown_names((one.name for parts in shown.values() for one in parts), longest)
        rows = [self._part_row(whole, 0, whole.name)]
        for part in classes:
            rows.append(self._part_row(part, 1, part.name))
            rows += [self._part_row(one, 2, names[one.name]) for one in shown[part.name]]
        title = f"Computing by work ({self.unit.name} per step, mean of the ranks)"
        notes = (self._alignment(), *([_ADDED_AND_REMOVED] if {ADDED, REMOVED} & {*shown} else []))
        return Section(title, ("", "base", "new", "change"), tuple(rows), notes)

    def _alignment(self) -> str:
        known = self.diff.alignment
        by = ", ".join(known.by).replace("_", "-") if known.by else "the names of kernels"
        return f"work is matched by {by}"

    def communication(self) -> Section:
        """Why each kind is exposed more or less."""
        exposed = next(part for part in self.diff.time.parts if part.name == EXPOSED)
        rows = [self._kind_row(part) for part in self.shown(exposed.parts)]
        return Section(
            f"Exposed communication ({self.unit.name} per step, mean of the ranks): change = "
            "longer - hidden - covered",
            ("kind", "base", "new", "change", "transfers longer", "hidden more", "covered more"),
            tuple(rows) if any(part.change_ns for part in exposed.parts) else (),
            ("covered: under transfers of another kind",),
        )

    def _kind_row(self, part: Part) -> Row:
        inside = {one.name: one.change_ns / per_step(self.diff) for one in part.parts}
        longer = inside.get(TRANSFERS, 0)
        hidden, covered = -inside.get(HIDDEN_PART, 0), -inside.get(UNDER_OTHERS, 0)
        changes = (Cell(signed(self.unit, change)) for change in (longer, hidden, covered))
        return (Cell(part.name.partition(".")[2]), *self.times(part), *changes)

    def path(self) -> Section:
        """The critical path by kind."""
        path = self.diff.critical_path
        if path is None or not path.change_ns:
            return Section("", (), ())
        rows = tuple(
            (Cell(part.name.replace("_", " ")), *self.times(part, self.diff.steps))
            for part in sorted(self.shown(path.parts), key=lambda one: -abs(one.change_ns))
        )
        title = f"Critical path by kind ({self.unit.name} per step)"
        return Section(title, ("", "base", "new", "change"), rows)
