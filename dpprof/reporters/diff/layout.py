"""What the tables of a diff have in common: the unit, how small is too small, cells of times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dpprof.analysis.diff.model import Diff, KernelDiff, Part, SlotDiff
from dpprof.reporters.blocks.cells import Cell
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.reporters.diff.sentences import per_step, signed, unit_of_diff

_SHORTEST_NAME = 18
_NUMBER = 10  # characters that a column of numbers takes
_SHOWN_SHARE = 0.0002
"""Of the step: parts that take less on both sides are left out of tables for people."""

Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Layout:
    """A diff that is laid out in lines of `width` characters."""

    diff: Diff
    width: int

    @property
    def unit(self) -> TimeUnit:
        """The unit of all times."""
        return unit_of_diff(self.diff)

    def shown(self, parts: Iterable[Part]) -> list[Part]:
        """The parts that are not too small to be looked at."""
        least = _SHOWN_SHARE * max(self.diff.time.base_ns, self.diff.time.new_ns)
        return [part for part in parts if max(abs(part.base_ns), abs(part.new_ns)) >= least]

    def times(self, part: Part | SlotDiff | KernelDiff, divisor: int | None = None) -> Row:
        """Base, new and change; per step, mean of the ranks, where no divisor is given."""
        count = per_step(self.diff) if divisor is None else divisor
        return (
            Cell(self.unit.text(part.base_ns / count)),
            Cell(self.unit.text(part.new_ns / count)),
            Cell(signed(self.unit, part.change_ns / count)),
        )

    def name_width(self, numbers: int, other: int = 0) -> int:
        """Characters for names beside so many columns of numbers and `other` characters."""
        return max(self.width - _NUMBER * numbers - other, _SHORTEST_NAME)
