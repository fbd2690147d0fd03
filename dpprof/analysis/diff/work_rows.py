"""The work of both sides beside each other: what is the same, what was added, removed or moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.diff.align_work import KEY, AlignedWork
from dpprof.analysis.diff.part_names import ADDED, MOVED_IN, MOVED_OUT, REMOVED, SAME
from dpprof.analysis.diff.parts import Scale, add_up
from dpprof.analysis.diff.work_accounts import CALLS, TIMES, TOTAL
from dpprof.tables.columns import COMPONENT, KIND, NAME, OPERATION, RANK

CLASS = "class"
LABEL = "label"
BASE, NEW = "base", "new"

_Integers = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]
_Texts = npt.NDArray[np.object_]


def both(column: str) -> list[str]:
    """The names of a column of `compare` for BASE and NEW."""
    return [f"{side}_{column}" for side in (BASE, NEW)]


_VALUES = [*TIMES, CALLS]
_COLUMNS = [column for value in _VALUES for column in both(value)]


def compare(aligned: AlignedWork, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """One row per rank and work: `RANK`, `KEY`, `LABEL`, times and calls of both sides.

    `pairs` are the ranks that correspond, as (BASE's, NEW's); rows carry NEW's number, or 0 for
    all where no ranks correspond. Sums are each side's own.
    """
    number = dict(pairs)
    base = aligned.base.assign(**{RANK: [number.get(rank, 0) for rank in aligned.base[RANK]]})
    new = aligned.new if pairs else aligned.new.assign(**{RANK: 0})
    rows = beside(base, new, [RANK, *KEY])
    # Categories are compared and added up many times faster than text.
    return rows.assign(
        **{LABEL: labels(rows).astype("category"), KIND: rows[KIND].astype("category")}
    )


def beside(base: pd.DataFrame, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Times and calls of both sides added up by `key`; 0 where a side has none."""
    rows = pd.concat([_one_side(base, key, BASE), _one_side(new, key, NEW)])
    return add_up(rows, key, _COLUMNS)


def _one_side(work: pd.DataFrame, key: list[str], side: str) -> pd.DataFrame:
    own: dict[str, Any] = {f"{side}_{value}": work[value] for value in _VALUES}
    result: pd.DataFrame = work[key].assign(**{name: own.get(name, 0) for name in _COLUMNS})
    return result


def labels(rows: pd.DataFrame) -> pd.Series[str]:
    """The operation of each row in words: ``mlp(F)``, ``p2p(I)``, or the kernel's name."""
    what = rows[COMPONENT].where(rows[COMPONENT] != "", rows[KIND])
    what = what.where((what != "compute") | (rows[OPERATION] == ""), "")
    operation = rows[OPERATION]
    both_known = (what != "") & (operation != "")
    words = what.where(~both_known, what + "(" + operation + ")")
    words = words.where(words != "", operation)
    return words.where(rows[NAME] == "", rows[NAME])


def classify(rows: pd.DataFrame, calls: Scale) -> pd.DataFrame:
    """Tell the total time of each row apart by `CLASS`: RANK, KIND, LABEL, CLASS, base, new.

    Labelled work that both sides do on this rank is the same work, however long it takes. Of
    kernels without labels, calls that one side has more of (`calls` makes the counts comparable)
    were added or removed, at the mean of that side's calls.
    """
    first, second = (rows[name].to_numpy(np.int64) for name in both(CALLS))
    on_both: _Flags = (first > 0) & (second > 0)
    shared = _shared(rows, on_both, (first * calls.base, second * calls.new))
    totals = [rows[name].to_numpy(np.int64) for name in both(TOTAL)]
    rest = [total - part for total, part in zip(totals, shared, strict=True)]
    same = _with_class(rows, np.full(len(rows), SAME, dtype=object), shared)
    other = _with_class(rows, _rest_class(rows, rest), rest)
    parts: list[pd.DataFrame] = [same[on_both], other[(rest[0] != 0) | (rest[1] != 0)]]
    return pd.concat(parts, ignore_index=True)


def _with_class(rows: pd.DataFrame, classes: _Texts, times: Sequence[_Integers]) -> pd.DataFrame:
    columns: dict[str, Any] = {CLASS: pd.Categorical(classes), BASE: times[0], NEW: times[1]}
    result: pd.DataFrame = rows[[RANK, KIND, LABEL]].assign(**columns)
    return result


def _shared(
    rows: pd.DataFrame, on_both: _Flags, calls: tuple[_Integers, _Integers]
) -> tuple[_Integers, _Integers]:
    """What of each side's total is of calls that the other side has as well."""
    counted = on_both & (rows[NAME] != "").to_numpy(dtype=bool)
    result = []
    for total, own, other in zip(both(TOTAL), calls, reversed(calls), strict=True):
        part = np.where(on_both, rows[total].to_numpy(np.int64), 0)
        for row in np.flatnonzero(counted & (own > other)).tolist():
            part[row] = (2 * int(part[row]) * int(other[row]) + int(own[row])) // (
                2 * int(own[row])
            )
        result.append(part)
    return result[0], result[1]


def _rest_class(rows: pd.DataFrame, rest: Sequence[_Integers]) -> _Texts:
    """The class of what is not the same work on this rank, of which one side has none."""
    anywhere = rows.groupby(KEY, sort=False, observed=True)[both(CALLS)].transform("sum").to_numpy()
    here = rows[both(CALLS)].to_numpy()
    moved = (anywhere > 0).all(axis=1) & ~(here > 0).all(axis=1)
    in_new = rest[1] > 0
    return np.where(
        moved, np.where(in_new, MOVED_IN, MOVED_OUT), np.where(in_new, ADDED, REMOVED)
    ).astype(object)


def without_moves(classed: pd.DataFrame) -> pd.DataFrame:
    """The classes of the whole job, to which work that another rank does is the same work."""
    classes = classed[CLASS].astype(object)
    moved = classes.isin((MOVED_IN, MOVED_OUT))
    return classed.assign(**{CLASS: pd.Categorical(classes.where(~moved, SAME))})
