"""Times of both sides brought to the same number of steps and ranks, and trees of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec.structs import replace

from dpprof.analysis.diff.model import Effect, Part
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
    ordered = sorted(present(parts), key=lambda part: (-abs(part.change_ns), part.name, str(part)))
    if len(ordered) <= most:
        return ordered
    rest = whole(OTHERS, ordered[most:])
    return [*ordered[:most], replace(rest, parts=[])]


def add_up(rows: pd.DataFrame, key: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """The `values` of the rows of each `key` added up; keys in order of first occurrence.

    Text columns of the result hold text.
    """
    number, first = numbered([rows[name] for name in key])
    result = rows[list(key)].iloc[first].reset_index(drop=True)
    texts = [name for name in key if result[name].dtype == "category"]
    result = result.astype(dict.fromkeys(texts, object))
    for name in values:
        sums = np.zeros(len(first), dtype=np.int64)
        np.add.at(sums, number, rows[name].to_numpy(np.int64))
        result[name] = sums
    return result


def numbered(
    columns: Sequence[pd.Series[int]],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For each row the number of its key, and for each key the first of its rows."""
    number, keys = np.zeros(len(columns[0]), dtype=np.int64), 1
    for codes, count in map(_codes, columns):
        if count < 2:
            continue
        if keys * count > _MOST_KEYS:
            number, found = pd.factorize(number)
            keys = len(found)
        number, keys = number * count + codes, keys * count
    number, _ = pd.factorize(number)
    reach = np.maximum.accumulate(number)
    return number, np.flatnonzero(np.diff(reach, prepend=-1))


_MOST_KEYS = 1 << 40
_FEW = 1 << 20


def _codes(column: pd.Series[int]) -> tuple[npt.NDArray[np.integer[Any]], int]:
    """A number below the count given for each value of a column, the same for the same values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes, dtype=np.int64) + 1, len(column.cat.categories) + 1
    if len(column) and pd.api.types.is_integer_dtype(column.dtype):
        values = column.to_numpy(np.int64)
        low, high = int(values.min()), int(values.max())
        if high - low < _FEW:
            return values - low, high - low + 1
    codes, found = pd.factorize(column)
    return codes.astype(np.int64) + 1, len(found) + 1


def sums_by(rows: pd.DataFrame, key: str, values: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """Text of the `key` -> the sums of two columns, in order of first occurrence."""
    number, names = pd.factorize(rows[key])
    sums = np.zeros((2, len(names)), dtype=np.int64)
    for row, value in zip(sums, values, strict=True):
        np.add.at(row, number, rows[value].to_numpy(np.int64))
    return dict(zip(map(str, names), zip(*sums.tolist(), strict=True), strict=True))
