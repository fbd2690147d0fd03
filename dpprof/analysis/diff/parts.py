"""Times of both sides brought to the same number of steps and ranks, and trees of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import NamedTuple

from msgspec.structs import replace

from dpprof.analysis.diff.figures import Effect, Part
from dpprof.analysis.diff.part_names import OTHERS

MOST_PARTS = 30
"""Operations or causes that are listed one by one."""


class Scale(NamedTuple):
    """Whole numbers by which the sums of each side are multiplied to count the same."""

    base: int
    new: int

    def part(self, name: str, base: int, new: int) -> Part:
        """A part without parts, from each side's own sums."""
        first, second = int(base) * self.base, int(new) * self.new
        return Part(name=name, base_ns=first, new_ns=second, change_ns=second - first)


def common_count(base: int, new: int) -> tuple[int, Scale]:
    """The least common multiple of two counts, and what each side lacks to it."""
    count = lcm(base, new)
    return count, Scale(count // base, count // new)


def whole(name: str, parts: Sequence[Part], effects: Mapping[str, Effect] | None = None) -> Part:
    """A part that is its parts added up."""
    return Part(
        name=name,
        base_ns=sum(part.base_ns for part in parts),
        new_ns=sum(part.new_ns for part in parts),
        change_ns=sum(part.change_ns for part in parts),
        effect=None if effects is None else effects.get(name),
        parts=list(parts),
    )


def negative(part: Part, name: str) -> Part:
    """What is taken off."""
    return Part(name=name, base_ns=-part.base_ns, new_ns=-part.new_ns, change_ns=-part.change_ns)


def present(parts: Iterable[Part]) -> list[Part]:
    """The parts that take any time on either side."""
    return [part for part in parts if part.base_ns or part.new_ns]


def largest(parts: Iterable[Part], most: int = MOST_PARTS) -> list[Part]:
    """The parts that changed most, first; the rest as one, so that nothing is lost."""
    ordered = sorted(present(parts), key=lambda part: (-abs(part.change_ns), part.name))
    if len(ordered) <= most:
        return ordered
    rest = whole(OTHERS, ordered[most:])
    return [*ordered[:most], replace(rest, parts=[])]
