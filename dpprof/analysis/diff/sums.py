"""Rows of tables added up by key, in integers; for tables of any size, also very small ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def add_up(rows: pd.DataFrame, key: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """The `values` of the rows of each `key` added up; keys in order of first occurrence.

    Text columns of the result hold text.
    """
    number, first = _numbered([rows[name] for name in key])
    result = rows[list(key)].iloc[first].reset_index(drop=True)
    texts = [name for name in key if result[name].dtype == "category"]
    result = result.astype(dict.fromkeys(texts, object))
    for name in values:
        sums = np.zeros(len(first), dtype=np.int64)
        np.add.at(sums, number, rows[name].to_numpy(np.int64))
        result[name] = sums
    return result


def _numbered(
    columns: Sequence[pd.Series[int]],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For each row the number of its key, and for each key the first of its rows."""
    count = len(columns[0])
    number = np.zeros(count, dtype=np.intp)
    for column in columns:
        codes, values = pd.factorize(column)
        number, _ = pd.factorize(number * (len(values) + 1) + codes)
    _, first = np.unique(number, return_index=True)
    return number, first


def sums_by(rows: pd.DataFrame, key: str, values: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """Text of the `key` -> the sums of two columns, in order of first occurrence."""
    number, names = pd.factorize(rows[key])
    sums = np.zeros((2, len(names)), dtype=np.int64)
    for row, value in zip(sums, values, strict=True):
        np.add.at(row, number, rows[value].to_numpy(np.int64))
    return dict(zip(map(str, names), zip(*sums.tolist(), strict=True), strict=True))
