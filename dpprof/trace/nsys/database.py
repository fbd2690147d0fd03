"""The tables of an Nsight Systems export, from SQLite or a folder of Parquet files.

The content is untrusted: only plain tables are read (a view could work for ever), a row whose
numbers are none is left out and counted, and SQLite may only work in proportion to the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]

MISSING = -1
"""In place of a number that is NULL or whose column this version of the export has not."""


class Coded(NamedTuple):
    """A column of texts or bytes: of each row a position in `values`, -1 for NULL."""

    codes: Integers
    values: list[object]


class NsysTables(Protocol):
    """Reads tables; `skipped` counts the rows left out so far for values of the wrong type."""

    skipped: int

    def has(self, table: str) -> bool:
        """Whether the table is there."""

    def integers(self, table: str, columns: Sequence[str]) -> tuple[Integers, ...]:
        """The columns of a table, equally long; `MISSING` where one has no value.

        Rows whose first column holds no number are left out. A table that is not there is empty.
        """

    def coded(self, table: str, key: str, column: str) -> Coded:
        """A column of texts or bytes, of the rows whose column `key` holds a number.

        These are the rows of `integers` with `key` first. What `emit_nvtx` writes behind the name
        of an operator is cut off: it is another text for every call.
        """

    def strings(self, ids: Integers) -> dict[int, str]:
        """Those of ``StringIds`` that are there, cut in the same way."""

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """The rows of a small table as they are; None for a column that is not there."""


@contextmanager
def open_export(path: Path) -> Iterator[NsysTables]:
    """The tables of an SQLite file or a folder of Parquet files; raises `DpprofError`."""
    from dpprof.trace.nsys.parquet_tables import ParquetTables
    from dpprof.trace.nsys.sqlite_tables import SqliteTables, connect

    if path.is_dir():
        yield ParquetTables(path)
        return
    connection = connect(path)
    try:
        yield SqliteTables(path, connection)
    finally:
        connection.close()
