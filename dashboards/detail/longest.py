"""The longest of any row of neighbours, in a time that does not depend on how many they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
_Positions = npt.NDArray[np.int32]
_Integer = TypeVar("_Integer", bound=np.signedinteger[Any])

_BLOCK = 8
"""Neighbours within a block are compared one by one; blocks have a table of powers of two."""


@dataclass(frozen=True)
class LongestActivities:
    """Finds the first of the longest in ``lengths[first:last]``, for many ranges at once.

    `before` and `after` are the longest in its block up to and from each position; row k of
    `powers` has the longest in the ``2**k`` blocks from each block on.
    """

    lengths: Numbers
    before: _Positions
    after: _Positions
    powers: tuple[_Positions, ...]

    @classmethod
    def of(cls, lengths: Numbers) -> LongestActivities:
        """Prepares to answer for these lengths."""
        positions = np.arange(len(lengths), dtype=np.int32)
        before, after = positions.copy(), positions.copy()
        for number in range(1, _BLOCK):
            here = positions[number::_BLOCK]
            before[here] = _longer(lengths, before[here - 1], here)
            there = positions[_BLOCK - 1 - number :: _BLOCK]
            there = there[there + 1 < len(lengths)]
            after[there] = _longer(lengths, there, after[there + 1])
        powers = [after[::_BLOCK].copy()]
        while len(powers[-1]) > 1 << (len(powers) - 1):
            half = 1 << (len(powers) - 1)
            powers.append(_longer(lengths, powers[-1][:-half], powers[-1][half:]))
        return cls(lengths, before, after, tuple(powers))

    def within(self, first: Numbers, last: Numbers) -> Numbers:
        """Positions of the longest in each ``[first, last)``; no range is empty."""
        result = first.copy()
        opening, closing = first // _BLOCK, (last - 1) // _BLOCK
        short = np.flatnonzero((opening == closing) & (last > first + 1))
        result[short] = self._among(first[short], last[short])
        many = np.flatnonzero(closing > opening)
        result[many] = _longer(self.lengths, self.after[first[many]], self.before[last[many] - 1])
        gap = np.flatnonzero(closing > opening + 1)
        result[gap] = self._with_blocks(result[gap], opening[gap] + 1, closing[gap])
        return result

    def _among(self, first: Numbers, last: Numbers) -> Numbers:
        best = first.copy()
        rows = np.arange(len(first))
        for number in range(1, _BLOCK):
            rows = rows[first[rows] + number < last[rows]]
            best[rows] = _longer(self.lengths, best[rows], first[rows] + number)
        return best

    def _with_blocks(self, found: Numbers, first: Numbers, last: Numbers) -> Numbers:
        """The longest of what was found outside, and of blocks ``[first, last)``."""
        best = found.copy()
        power = np.frexp(last - first)[1] - 1
        for k in np.unique(power).tolist():
            rows = np.flatnonzero(power == k)
            table = self.powers[k]
            inner = _longer(self.lengths, table[first[rows]], table[last[rows] - (1 << k)])
            outer = best[rows]
            own, other = self.lengths[inner], self.lengths[outer]
            better = (own > other) | ((own == other) & (inner < outer))
            best[rows] = np.where(better, inner, outer)
        return best


def _longer(
    lengths: Numbers, one: npt.NDArray[_Integer], other: npt.NDArray[_Integer]
) -> npt.NDArray[_Integer]:
    """The longer of two positions each, the first of equals: `one` comes before `other`."""
    return np.where(lengths[other] > lengths[one], other, one)
