"""Columns of whole numbers, straight from the pages of an SQLite file.

Python's sqlite3 makes an object of every value: a million kernels are seven million. Here the pages
of a table become numpy columns. Only what exports hold is read this way: ordinary tables whose rows
fit into their pages. For anything else, damage too, there is `UnusualTable`, and SQLite is asked.
Source: https://www.sqlite.org/fileformat.html, sections 1.3, 1.6 and 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import SEEK_END, FileIO
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dpprof.trace.nsys.database import MISSING, Integers

Bytes: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]

_INNER, _LEAF = 5, 13  # kinds of pages of a table
_LEAF_HEADER, _INNER_HEADER = 8, 12
_PAGES = 512  # at a time: 2 MB, few enough to stay in the processor's cache
_SIZES = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0], dtype=np.int64)  # by the kind of a value
_NULL, _REAL, _ZERO, _ONE, _TEXT = 0, 7, 8, 9, 12  # kinds of values
_LEAST_CELL = 4
_LEAST_OVERFLOW = 35  # a record that leaves less of its page free goes on in another
_BEHIND = 32  # three numbers of variable length, begun on the last bytes of a page


class UnusualTable(Exception):
    """The table, or its damage, is of a form that only SQLite itself reads."""


class _File(NamedTuple):
    """An open SQLite file, how long its pages are, how much of each is used, and how many."""

    stream: FileIO
    page: int
    usable: int
    pages: int


def read_integers(path: Path, root: int, places: Sequence[int]) -> tuple[list[Integers], int]:
    """The columns at `places` of the table whose first page is `root`, and how many rows are not
    in them because the first of the columns holds no whole number. `MISSING` as in `NsysTables`.

    Raises `UnusualTable`, and `OSError`.
    """
    blocks, skipped = [], 0
    with path.open("rb", buffering=0) as stream:
        file = _described(stream)
        for data in _leaves(file, root):
            block, odd = _records(file, data, places)
            blocks.append(block)
            skipped += odd
    empty = np.zeros(0, dtype=np.int64)
    return [
        np.concatenate([empty, *(block[one] for block in blocks)]) for one in range(len(places))
    ], skipped


def _described(stream: FileIO) -> _File:
    header = stream.read(100)
    size = stream.seek(0, SEEK_END)
    page = int.from_bytes(header[16:18], "big")
    page = 65_536 if page == 1 else page
    if len(header) < 100 or page < 512 or page & (page - 1) or header[20] > page - 480:
        raise UnusualTable
    return _File(stream, page, page - header[20], size // page)


def _leaves(file: _File, root: int) -> Iterator[Bytes]:
    """The leaf pages in order, some at a time."""
    level, seen = np.array([root], dtype=np.int64), 0
    while True:
        seen += len(level)
        if level.min() < 2 or level.max() > file.pages or seen > file.pages:
            raise UnusualTable
        blocks = (_read(file, level[at : at + _PAGES]) for at in range(0, len(level), _PAGES))
        if _read(file, level[:1])[0] == _LEAF:
            yield from blocks
            return
        level = np.concatenate([_children(file, data) for data in blocks])


def _read(file: _File, pages: Integers) -> Bytes:
    """These pages; and some bytes behind the last that mean nothing."""
    data = np.zeros(len(pages) * file.page + _BEHIND, dtype=np.uint8)
    view, into = data.data, 0
    for run in np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1):
        size = len(run) * file.page
        file.stream.seek((int(run[0]) - 1) * file.page)
        if file.stream.readinto(view[into : into + size]) != size:
            raise UnusualTable
        into += size
    return data


def _cells(file: _File, data: Bytes, kind: int, header: int) -> tuple[Integers, Integers]:
    """Of each cell where its page begins, and where it begins itself."""
    begin = np.arange(0, len(data) - _BEHIND, file.page)
    counts = _number(data, begin + 3, 2)
    if (data[begin] != kind).any() or (header + 2 * counts > file.usable).any():
        raise UnusualTable
    page = np.repeat(begin, counts)
    number = np.arange(len(page)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = _number(data, page + header + 2 * number, 2)
    if (at > file.usable - _LEAST_CELL).any():
        raise UnusualTable
    return page, page + at


def _number(data: Bytes, at: Integers, size: int) -> Integers:
    """The numbers of `size` bytes, without a sign, at these places."""
    value = np.zeros(len(at), dtype=np.int64)
    for byte in range(size):
        value = value << 8 | data[at + byte]
    return value


def _children(file: _File, data: Bytes) -> Integers:
    """The pages below these, in order."""
    page, at = _cells(file, data, _INNER, _INNER_HEADER)
    begin = np.arange(0, len(data) - _BEHIND, file.page)
    order = np.argsort(np.concatenate([page, begin]), kind="stable")  # the last is in the header
    return _number(data, np.concatenate([at, begin + _LEAF_HEADER])[order], 4)


def _records(file: _File, data: Bytes, places: Sequence[int]) -> tuple[list[Integers], int]:
    """The columns of the rows in these leaf pages, and how many rows were left out."""
    page, at = _cells(file, data, _LEAF, _LEAF_HEADER)
    if not len(at):
        return [np.zeros(0, dtype=np.int64) for _ in places], 0
    length, at = _varint(data, at)
    _, at = _varint(data, at)  # the row's number
    end = at + length
    if (length > file.usable - _LEAST_OVERFLOW).any() or (end > page + file.usable).any():
        raise UnusualTable
    found = _columns(data, at, end, places)
    columns = [
        value if whole is None else np.where(whole, value, MISSING)
        for value, whole in (found[one] for one in places)
    ]
    sound = found[places[0]].whole
    if sound is None:
        return columns, 0
    return [one[sound] for one in columns], int((~sound).sum())


class _Stored(NamedTuple):
    values: Integers
    whole: Mask | None  # which values are whole numbers; None: all


def _columns(data: Bytes, at: Integers, end: Integers, places: Sequence[int]) -> dict[int, _Stored]:
    """The columns at `places` of the records from `at` to `end`."""
    size, kind_at = _varint(data, at)
    value_at = header_end = at + size
    found = {}
    for place in range(max(places) + 1):
        if (kind_at >= header_end).any() or (value_at > end).any():
            raise UnusualTable
        kind, kind_at = _varint(data, kind_at)
        if place in places:
            found[place] = _values(data, value_at, kind)
        value_at = value_at + _size(kind)
    if (kind_at > header_end).any() or (value_at > end).any():
        raise UnusualTable
    return found


def _varint(data: Bytes, at: Integers) -> tuple[Integers, Integers]:
    """The numbers of variable length that begin at these places, and where they end."""
    byte = data[at]
    if byte.max() < 128:
        return byte.astype(np.int64), at + 1
    value, more = np.zeros(len(at), dtype=np.int64), np.ones(len(at), dtype=bool)
    for _ in range(8):
        value = np.where(more, value << 7 | byte & 127, value)
        at = at + more
        more &= byte >= 128
        if not more.any():
            return value, at
        byte = data[at]
    raise UnusualTable  # nine bytes: negative


def _size(kind: Integers) -> Integers:
    """How many bytes a value of this kind takes."""
    if kind.max() < len(_SIZES):
        return _SIZES[kind]
    if ((kind == 10) | (kind == 11)).any():
        raise UnusualTable
    return np.where(kind >= _TEXT, (kind - _TEXT) >> 1, _SIZES[np.minimum(kind, _ZERO)])


def _values(data: Bytes, at: Integers, kind: Integers) -> _Stored:
    """The values of a column."""
    eight = np.ndarray((len(data) - 7,), dtype=">i8", buffer=data, strides=(1,))[at]
    low, high = int(kind.min()), int(kind.max())
    if _NULL < low == high < _REAL:
        return _Stored(eight.astype(np.int64) >> (64 - 8 * int(_SIZES[low])), None)
    value = eight.astype(np.int64) >> np.minimum(64 - 8 * _SIZES[np.minimum(kind, _ZERO)], 63)
    constant = (kind == _ZERO) | (kind == _ONE)
    whole = (kind > _NULL) & (kind <= _ONE) & (kind != _REAL)
    return _Stored(np.where(constant, kind - _ZERO, value), None if whole.all() else whole)
