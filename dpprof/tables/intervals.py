"""Arithmetic on half-open intervals ``[start, end)`` of integer nanoseconds, in NumPy.

Every function takes and gives `Intervals`; nothing here loops over single intervals, so the cost
is that of sorting. A *union* is sorted, disjoint and without touching neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Intervals(NamedTuple):
    """Intervals as two int64 arrays of one length, in any order; may overlap unless said."""

    starts: Nanoseconds
    ends: Nanoseconds


def make_intervals(starts: npt.ArrayLike, ends: npt.ArrayLike) -> Intervals:
    """Intervals from two sequences of nanoseconds; those that hold no instant are left out."""
    first, last = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    filled = last > first
    return Intervals(first[filled], last[filled])


EMPTY = make_intervals([], [])


def union(*many: Intervals) -> Intervals:
    """The instants that any of the intervals covers, as sorted intervals that do not touch."""
    starts = np.concatenate([EMPTY.starts, *(one.starts for one in many)])
    ends = np.concatenate([EMPTY.ends, *(one.ends for one in many)])
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    opens = np.ones(len(starts), dtype=bool)
    opens[1:] = starts[1:] > reach[:-1]
    closes = np.append(opens[1:], True)[: len(starts)]
    return make_intervals(starts[opens], reach[closes])


def total_length(disjoint: Intervals) -> int:
    """Nanoseconds covered by intervals that do not overlap."""
    return int((disjoint.ends - disjoint.starts).sum())


def index_at(disjoint: Intervals, instants: Nanoseconds) -> npt.NDArray[np.intp]:
    """For each instant the position of the interval that holds it, -1 where none does.

    The intervals are sorted and do not overlap; they may touch.
    """
    index = np.searchsorted(disjoint.starts, instants, side="right") - 1
    outside = index < 0
    if len(disjoint.ends):
        outside |= disjoint.ends[index] <= instants
    return np.where(outside, -1, index)


def sweep(edges: Nanoseconds, layers: Sequence[Intervals]) -> Mask:
    """Which layers cover each segment between neighbouring edges, shape (layers, edges - 1).

    The layers are sorted and disjoint, and every layer edge inside the span is one of `edges`
    (`all_edges` sees to it), so that a segment is covered whole or not at all.
    """
    covered = np.zeros((len(layers), max(len(edges) - 1, 0)), dtype=bool)
    for row, layer in enumerate(layers):
        covered[row] = index_at(layer, edges[:-1]) >= 0
    return covered


def all_edges(start_ns: int, end_ns: int, layers: Iterable[Intervals]) -> Nanoseconds:
    """Sorted distinct edges of all layers in ``[start_ns, end_ns]``, both limits included."""
    parts = [part for layer in layers for part in layer]
    edges = np.concatenate([np.array([start_ns, end_ns], dtype=np.int64), *parts])
    return _distinct(edges[(edges >= start_ns) & (edges <= end_ns)])


def _distinct(values: Nanoseconds) -> Nanoseconds:
    """Sorted distinct values; for mostly sorted ones faster than NumPy's hashing."""
    ordered = np.sort(values, kind="stable")
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def intersect(one: Intervals, other: Intervals) -> Intervals:
    """The instants that both cover, as a union."""
    return _where(one, other, lambda first, second: first & second)


def subtract(one: Intervals, other: Intervals) -> Intervals:
    """The instants that `one` covers and `other` does not, as a union."""
    return _where(one, other, lambda first, second: first & ~second)


def intersection_length(one: Intervals, other: Intervals) -> int:
    """Nanoseconds that both cover."""
    return total_length(intersect(one, other))


def length_before(disjoint: Intervals, instants: Nanoseconds) -> Nanoseconds:
    """For each instant the nanoseconds before it that sorted, disjoint intervals cover."""
    if not len(disjoint.starts):
        return np.zeros(len(instants), dtype=np.int64)
    lengths = disjoint.ends - disjoint.starts
    index = np.searchsorted(disjoint.starts, instants, side="right") - 1
    inside = np.clip(instants - disjoint.starts[index], 0, lengths[index])
    before: Nanoseconds = np.cumsum(lengths)[index] - lengths[index] + inside
    return np.where(index < 0, 0, before)


def clip(intervals: Intervals, start_ns: int, end_ns: int) -> Intervals:
    """The parts of the intervals inside ``[start_ns, end_ns)``."""
    return make_intervals(
        np.clip(intervals.starts, start_ns, end_ns), np.clip(intervals.ends, start_ns, end_ns)
    )


def first_come(intervals: Intervals) -> tuple[Intervals, npt.NDArray[np.intp]]:
    """Disjoint pieces that cover the same instants, each given to the interval that began first.

    Intervals that hold no instant are welcome and get nothing. Gives the pieces, sorted, and for
    each the position of its interval in the input.
    """
    order = np.lexsort((intervals.ends, intervals.starts))
    starts, ends = intervals.starts[order], intervals.ends[order]
    reach = np.maximum.accumulate(ends)
    starts[1:] = np.maximum(starts[1:], reach[:-1])
    filled = ends > starts
    return Intervals(starts[filled], ends[filled]), order[filled]


def _where(one: Intervals, other: Intervals, keep: Callable[[Mask, Mask], Mask]) -> Intervals:
    layers = (union(one), union(other))
    edges = _distinct(np.concatenate([part for layer in layers for part in layer]))
    covered = sweep(edges, layers)
    chosen = keep(covered[0], covered[1]) if len(edges) else np.zeros(0, dtype=bool)
    return union(Intervals(edges[:-1][chosen], edges[1:][chosen]))
