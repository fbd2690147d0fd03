"""Puts spans together of which the beginning and the end are rows of their own (phases B and E)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpprof.trace.read.columns import DEVICE_CATEGORIES, Rows
from dpprof.trace.read.engines import BEGINS, OTHER

Columns = dict[str, npt.NDArray[Any]]


class Paired(NamedTuple):
    """The spans, whole ones only, and how many of a category that is read have no other half.

    `work` counts those of them that are device activities.
    """

    columns: Columns
    begun: int
    ended: int
    work: int


def pair_halves(columns: Columns, unnamed: int) -> Paired:
    """Whole spans in place of halves; `unnamed` is the code of the empty name.

    An end closes what began last on its thread, or, where it has a name, the last of that name;
    what began after that and did not end is left out, and counted.
    """
    halves = np.flatnonzero(columns["duration_ns"] < 0)
    if not len(halves):
        return Paired(columns, 0, 0, 0)
    starts = columns["start_ns"]
    order = halves[np.lexsort((halves, starts[halves], columns["thread"][halves]))]
    begins, ends = _pairs(columns, order, unnamed)
    durations = columns["duration_ns"].copy()
    durations[begins] = starts[ends] - starts[begins]
    is_read = columns["category"] != OTHER
    begins_one = columns["duration_ns"][halves] == BEGINS
    alone = ~np.isin(halves, np.append(begins, ends)) & is_read[halves]
    keep = (durations >= 0) & is_read
    return Paired(
        {name: column[keep] for name, column in (columns | {"duration_ns": durations}).items()},
        int((alone & begins_one).sum()),
        int((alone & ~begins_one).sum()),
        int(np.isin(columns["category"][halves[alone]], DEVICE_CATEGORIES).sum()),
    )


def _pairs(columns: Columns, order: Rows, unnamed: int) -> tuple[Rows, Rows]:
    names, threads = columns["name"], columns["thread"]
    begins, ends = [], []
    open_rows: dict[int, list[int]] = {}
    for row in order.tolist():
        waiting = open_rows.setdefault(int(threads[row]), [])
        if columns["duration_ns"][row] == BEGINS:
            waiting.append(row)
            continue
        name = int(names[row])
        for depth in range(len(waiting) - 1, -1, -1):
            if name in (unnamed, names[waiting[depth]]):
                begins.append(waiting[depth])
                ends.append(row)
                del waiting[depth:]
                break
    return np.array(begins, dtype=np.intp), np.array(ends, dtype=np.intp)
