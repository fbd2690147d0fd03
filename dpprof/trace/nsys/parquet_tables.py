"""The tables of a folder that ``nsys export --type parquetdir`` wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dpprof.errors import DpprofError
from dpprof.system.optional import parquet_library
from dpprof.trace.nsys.database import MISSING, Coded, Integers

_CALL = re.compile(r", (?:seq|op_id) = .*", re.DOTALL)
Mask = npt.NDArray[np.bool_]


class ParquetTables:
    """Tables of one file each, read by Arrow; counts what is left out."""

    def __init__(self, folder: Path) -> None:
        self._files = {file.stem: file for file in sorted(folder.glob("*.parquet"))}
        self.skipped = 0

    def has(self, table: str) -> bool:
        """As `NsysTables.has`."""
        return table in self._files

    def integers(self, table: str, columns: Sequence[str]) -> tuple[Integers, ...]:
        """As `NsysTables.integers`."""
        frame = self._read(table, columns)
        if columns[0] not in frame:
            return tuple(np.zeros(0, dtype=np.int64) for _ in columns)
        sound = _sound(frame[columns[0]])
        self.skipped += int((~sound).sum())
        missing = np.full(len(sound), MISSING, dtype=np.int64)
        values = [_integers(frame[name]) if name in frame else missing for name in columns]
        return tuple(values if sound.all() else [one[sound] for one in values])

    def coded(self, table: str, key: str, column: str) -> Coded:
        """As `NsysTables.coded`."""
        frame = self._read(table, (key, column))
        if key not in frame:
            return Coded(np.zeros(0, dtype=np.int64), [])
        sound = _sound(frame[key])
        if column not in frame:
            return Coded(np.full(int(sound.sum()), MISSING, dtype=np.int64), [])
        coded = frame[column].combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int64)
        return Coded(codes[sound], [_cut(one) for one in coded.dictionary.to_pylist()])

    def strings(self, ids: Integers) -> dict[int, str]:
        """As `NsysTables.strings`."""
        frame = self._read("StringIds", ("id", "value"))
        if len(frame) < 2:
            return {}
        rows = np.flatnonzero(np.isin(_integers(frame["id"]), ids))
        found = zip(
            frame["id"].take(rows).to_pylist(), frame["value"].take(rows).to_pylist(), strict=True
        )
        return {id: str(_cut(value)) for id, value in found if isinstance(id, int)}

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """As `NsysTables.texts`."""
        frame = {name: one.to_pylist() for name, one in self._read(table, columns).items()}
        count = max(map(len, frame.values()), default=0)
        empty: list[object] = [None] * count
        return list(zip(*(frame.get(name, empty) for name in columns), strict=True))

    def _read(self, table: str, columns: Sequence[str]) -> dict[str, Any]:
        pa, pq = parquet_library("reading Parquet of Nsight Systems")
        if table not in self._files:
            return {}
        file = self._files[table]
        try:
            known = [name for name in columns if name in pq.read_schema(file).names]
            found = pq.read_table(file, columns=known)
        except (OSError, pa.ArrowException) as error:
            raise DpprofError(
                f"{file}: no sound Parquet file ({error}); export it again: nsys export --type "
                "parquetdir REPORT.nsys-rep"
            ) from error
        return {name: found.column(name) for name in known}


def _sound(column: Any) -> Mask:
    """Which rows hold a whole number that is no NULL."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        return np.zeros(len(column), dtype=bool)
    found: Mask = column.is_valid().to_numpy()
    return found


def _integers(column: Any) -> Integers:
    """A column of numbers; `MISSING` for NULL, beyond 64 bits, and for what is no whole number."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        return np.full(len(column), MISSING, dtype=np.int64)
    numbers = column.fill_null(0).to_numpy().astype(np.int64)
    return np.where(column.is_valid().to_numpy(), numbers, MISSING)


def _cut(value: object) -> object:
    return _CALL.sub(", op_id = 0", value) if isinstance(value, str) else value
