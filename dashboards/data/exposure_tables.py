"""The exposure of a run seen by operation, by layer and micro-batch, and as distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.reporters.diff.kernel_names import shown_names
from dpprof.tables.columns import (
    COUNT,
    DIRECTION,
    EXPOSED,
    HIDDEN,
    KIND,
    LAYER,
    MICRO_BATCH,
    NAME,
    OPERATION,
    PART,
    RANK,
    STAGE,
    TOTAL,
)

ALL = "all"
LABEL = "label"
NOT_SAID = "not said"
_QUANTILES = {"least": 0.0, "lower": 0.25, "median": 0.5, "upper": 0.75, "most": 1.0}
MOST_COLUMNS = 128
MOST_ROWS = 96
_SUMS = [COUNT, TOTAL, HIDDEN, EXPOSED]
_LONGEST_NAME = 48


def of_kind(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The operations of one kind, or of `ALL`."""
    return table if kind == ALL else table[table[KIND] == kind]


def by_operation(table: pd.DataFrame) -> pd.DataFrame:
    """Label, kind, count, total, hidden and exposed time of operations alike, most exposed first.

    Where the training loop is labelled, alike is what has the same kind, operation and part, else
    what has the same name. `table` has the columns `EXPOSURE`.
    """
    keys = [KIND, OPERATION, PART, NAME]
    sums = table.groupby(keys, observed=True, sort=False)[_SUMS].sum()
    unlabelled = [str(name) for _, operation, _, name in sums.index if not str(operation)]
    shown = shown_names(unlabelled, _LONGEST_NAME)
    parts = [(str(a), str(b), str(c), str(d)) for a, b, c, d in sums.index]
    labelled = sums.reset_index(drop=True)
    labelled[LABEL] = [_operation_label(*one, shown) for one in parts]
    labelled[KIND] = [kind for kind, *_ in parts]
    added = labelled.groupby([LABEL, KIND], sort=False)[_SUMS].sum()
    return added.sort_values(EXPOSED, ascending=False, kind="stable").reset_index()


def _operation_label(
    kind: str, operation: str, part: str, name: str, shown: Mapping[str, str]
) -> str:
    """``dispatch, F in F&B``; of a kernel without labels its kind and what it is called."""
    if not operation:
        return f"{kind}: {shown[name]}"
    return f"{kind}, {operation}" if part in ("", operation) else f"{kind}, {part} in {operation}"


@dataclass(frozen=True)
class Grid:
    """Times by layer (rows, the first layer first) and micro-batch (columns), in nanoseconds.

    Cells without any operation have a total of 0. `grouped` is how many neighbouring
    micro-batches (layers) share a column (row), where there are too many to show.
    """

    rows: list[str]
    columns: list[str]
    total: npt.NDArray[np.int64]
    hidden: npt.NDArray[np.int64]
    grouped: tuple[int, int] = (1, 1)

    @property
    def exposed(self) -> npt.NDArray[np.int64]:
        """What computing does not hide."""
        return self.total - self.hidden


def layer_grid(table: pd.DataFrame) -> Grid | None:
    """The operations that say their layer or micro-batch; None where none does."""
    said = table[(table[LAYER] >= 0) | (table[MICRO_BATCH] >= 0)]
    said = said[said[LAYER] >= 0] if (said[LAYER] >= 0).any() else said
    if said.empty:
        return None
    rows, row_labels, row_group = _axis(said, [STAGE, LAYER], _layer_label, MOST_ROWS)
    columns, labels, group = _axis(said, [DIRECTION, MICRO_BATCH], _batch_label, MOST_COLUMNS)
    total = np.zeros((len(row_labels), len(labels)), dtype=np.int64)
    hidden = total.copy()
    np.add.at(total, (rows, columns), said[TOTAL].to_numpy(np.int64))
    np.add.at(hidden, (rows, columns), said[HIDDEN].to_numpy(np.int64))
    return Grid(row_labels, labels, total, hidden, (row_group, group))


def _axis(
    table: pd.DataFrame, names: list[str], label: Callable[[int, int], str], most: int
) -> tuple[npt.NDArray[np.intp], list[str], int]:
    """Position of each row on an axis of at most `most` places, and the places' labels."""
    distinct, place = _distinct(table, names)
    group = -(-len(distinct) // most)
    labels = [label(*one) for one in distinct]
    first, last = labels[::group], [*labels[group - 1 :: group], labels[-1]]
    joined = [_joined(one, other) for one, other in zip(first, last, strict=False)]
    return place // group, joined, group


def _joined(first: str, last: str) -> str:
    """``stage 0, layer 0 to 3``: what both have in common is said once."""
    if first == last:
        return first
    common, _, number = last.rpartition(" ")
    return f"{first} to {number}" if first.startswith(f"{common} ") else f"{first} to {last}"


def _distinct(
    table: pd.DataFrame, names: list[str]
) -> tuple[list[tuple[int, int]], npt.NDArray[np.intp]]:
    """The distinct pairs of two columns of numbers, sorted, and which one each row has."""
    first, second = (table[name].to_numpy(np.int64) + 1 for name in names)
    packed, place = np.unique((first << 32) | second, return_inverse=True)
    pairs = zip((packed >> 32).tolist(), (packed & 0xFFFFFFFF).tolist(), strict=True)
    return [(one - 1, other - 1) for one, other in pairs], place.reshape(-1)


def _layer_label(stage: int, layer: int) -> str:
    if layer < 0:
        return NOT_SAID if stage < 0 else f"stage {stage}"
    return f"layer {layer}" if stage < 0 else f"stage {stage}, layer {layer}"


def _said_layer_label(stage: int, layer: int) -> str:
    return NOT_SAID if layer < 0 else _layer_label(stage, layer)


def _batch_label(direction: int, micro_batch: int) -> str:
    if micro_batch < 0:
        return NOT_SAID
    return str(micro_batch) if direction < 0 else f"{direction}.{micro_batch}"


BY: Mapping[str, Callable[[pd.DataFrame], pd.Series[Any]]] = MappingProxyType(
    {
        "stage": lambda table: _pairs(table, [STAGE, STAGE], lambda one, _: _or_not_said(one)),
        "layer": lambda table: _pairs(table, [STAGE, LAYER], _said_layer_label),
        "micro-batch": lambda table: _pairs(table, [DIRECTION, MICRO_BATCH], _batch_label),
        "rank": lambda table: _pairs(table, [RANK, RANK], lambda one, _: str(one)),
        "operation": lambda table: table[OPERATION].cat.rename_categories(
            lambda one: one or NOT_SAID
        ),
    }
)
"""What a distribution can be taken by, and the label of each operation under it."""


def _or_not_said(number: int) -> str:
    return NOT_SAID if number < 0 else str(number)


def _pairs(
    table: pd.DataFrame, names: list[str], label: Callable[[int, int], str]
) -> pd.Series[Any]:
    distinct, place = _distinct(table, names)
    labels = [label(*one) for one in distinct]
    order = list(dict.fromkeys(labels))
    codes = np.array([order.index(one) for one in labels], dtype=np.intp)
    values = pd.Categorical.from_codes(codes[place], categories=pd.Index(order), ordered=True)
    return pd.Series(values, index=table.index)


def spread(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The hidden share of operations: least, quartiles and most for each value of `BY`.

    One row per value that has any transfer, in order; columns ``label, least, lower, median,
    upper, most, count``. Every row of `table` is one operation and counts once. Operations that do
    not say their value are left out, unless none does.
    """
    moved = table[table[TOTAL] > 0]
    labels = BY[by](moved)
    said = labels != NOT_SAID
    moved, labels = (moved[said], labels[said]) if said.any() else (moved, labels)
    grouped = (moved[HIDDEN] / moved[TOTAL]).groupby(labels, observed=True)
    quantiles = {name: grouped.quantile(at) for name, at in _QUANTILES.items()}
    found = pd.DataFrame({**quantiles, COUNT: grouped.size()})
    return found.rename_axis(LABEL).reset_index()
