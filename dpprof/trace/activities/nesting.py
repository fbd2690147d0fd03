"""Which span holds an instant: the innermost one, for many instants at once."""

from __future__ import annotations

import numpy as np

from dpprof.trace.read.columns import Codes, Mask, Nanoseconds, Rows


def innermost(starts: Nanoseconds, ends: Nanoseconds, instants: Nanoseconds) -> Rows:
    """For each instant the position of the span ``[start, end)`` that holds it, -1 where none.

    Spans may nest or overlap; of several that hold an instant the one that started last is
    taken, and of those that started together the shortest. The cost is that of sorting, times
    the depth of nesting.
    """
    order = np.lexsort((-ends, starts))
    sorted_ends = ends[order]
    outer = _enclosing(sorted_ends)
    found = np.searchsorted(starts[order], instants, side="right") - 1
    while True:
        missed = (found >= 0) & (sorted_ends[found] <= instants) if len(order) else found > 0
        if not missed.any():
            break
        found[missed] = outer[found[missed]]
    return np.append(order, -1)[found]


def _enclosing(ends: Nanoseconds) -> Rows:
    """For each span, in order of start, the nearest earlier one that ends later; -1 for none.

    No span between the two can hold an instant that this one is too early for. Pointers jump
    over whole runs of spans, so a flat list of n spans takes about log2(n) rounds.
    """
    outer = np.arange(len(ends), dtype=np.intp) - 1
    while True:
        short = (outer >= 0) & (ends[outer] <= ends)
        if not short.any():
            return outer
        outer[short] = outer[outer[short]]


Spans = tuple[Codes, Nanoseconds, Nanoseconds]
"""Group (such as the thread), start and end of each."""


def touches(spans: Spans, others: Spans) -> Mask:
    """Which of `spans` start in one of the `others` of their group, or hold the start of one."""
    groups, starts, ends = spans
    found = innermost_by_group(others, (groups, starts)) >= 0
    for group in np.intersect1d(groups, others[0]):
        begins = np.sort(others[1][others[0] == group])
        own = np.flatnonzero(groups == group)
        first = np.searchsorted(begins, starts[own])
        found[own] |= np.searchsorted(begins, ends[own]) > first
    return found


def innermost_by_group(spans: Spans, points: tuple[Codes, Nanoseconds]) -> Rows:
    """`innermost` among the spans of each point's own group (such as its thread).

    `spans` are (group, start, end), `points` are (group, instant).
    """
    groups, starts, ends = spans
    point_groups, instants = points
    found = np.full(len(instants), -1, dtype=np.intp)
    for group in np.intersect1d(groups, point_groups):
        members = np.flatnonzero(groups == group)
        asked = np.flatnonzero(point_groups == group)
        inside = innermost(starts[members], ends[members], instants[asked])
        found[asked] = np.append(members, -1)[inside]
    return found


def is_outermost(groups: Codes, starts: Nanoseconds, ends: Nanoseconds) -> Mask:
    """Which spans lie inside no other span of their group; of two equal ones the first does."""
    outermost = np.ones(len(starts), dtype=bool)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        order = members[np.lexsort((-ends[members], starts[members]))]
        reach = np.maximum.accumulate(ends[order])
        outermost[order[1:]] = ends[order[1:]] > reach[:-1]
    return outermost
