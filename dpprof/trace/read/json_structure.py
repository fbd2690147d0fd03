"""Where the strings and brackets of a piece of JSON are, found with whole-array operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_STEP = np.zeros(256, dtype=np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1


@dataclass(frozen=True)
class Structure:
    """`quotes`: those that open and close strings. `brackets`: outside strings, with the depth
    after each; the piece starts at depth 0, outside strings."""

    quotes: Positions
    brackets: Positions
    depth: Positions


def find_quotes(piece: Any) -> Positions:
    """Positions of the quotes that open or close a string."""
    data = np.frombuffer(piece, dtype=np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    suspects = np.flatnonzero(data[np.maximum(quotes - 1, 0)] == _BACKSLASH)
    escaped = [one for one in suspects.tolist() if _is_escaped(data, int(quotes[one]))]
    return np.delete(quotes, escaped) if escaped else quotes


def _is_escaped(data: npt.NDArray[np.uint8], quote: int) -> bool:
    first = quote
    while first > 0 and data[first - 1] == _BACKSLASH:
        first -= 1
    return (quote - first) % 2 == 1


def in_strings(quotes: Positions, positions: Positions) -> npt.NDArray[np.bool_]:
    """Which of the positions lie in a string."""
    inside = np.searchsorted(quotes, positions) % 2 == 1
    return np.asarray(inside, dtype=bool)


def find_structure(piece: Any) -> Structure:
    """The strings and brackets of a piece that starts outside strings."""
    quotes = find_quotes(piece)
    step = _STEP[np.frombuffer(piece, dtype=np.uint8)]
    brackets = np.flatnonzero(step)
    brackets = brackets[~in_strings(quotes, brackets)]
    return Structure(quotes, brackets, np.cumsum(step[brackets], dtype=np.int64))


def find_outside(piece: Any, structure: Structure, byte: bytes) -> Positions:
    """Positions of this byte outside strings and at depth 0."""
    found = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == byte[0])
    found = found[~in_strings(structure.quotes, found)]
    depth = np.concatenate([[0], structure.depth])[np.searchsorted(structure.brackets, found)]
    outside: Positions = found[depth == 0]
    return outside
