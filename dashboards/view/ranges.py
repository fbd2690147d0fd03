"""Sets of small numbers as short text: ``0-3,7``."""

from __future__ import annotations

from collections.abc import Sequence


def ranges_text(numbers: Sequence[int]) -> str:
    """``[0, 1, 2, 7]`` as ``0-2,7``; numbers are sorted and none is said twice."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def read_ranges(text: str, limit: int) -> tuple[int, ...]:
    """The numbers of ``0-2,7``, sorted; raises ValueError for anything else, or from `limit` on."""
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isascii() and end.isdecimal() and len(end) < 10 for end in ends):
            raise ValueError("write numbers and ranges, as in 0-3,7")
        low, high = int(ends[0]), int(ends[1])
        if not low <= high < limit:
            raise ValueError(f"numbers go from 0 to {limit - 1}, ranges upwards")
        numbers.update(range(low, high + 1))
    return tuple(sorted(numbers))
