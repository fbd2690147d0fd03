"""The tables of an Nsight Systems export, from SQLite or a folder of Parquet files.

The content is untrusted: only plain tables are read (a view could work for ever), a row whose
numbers are none is left out and counted, and SQLite may only work in proportion to the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dpprof.errors import DpprofError

Integers: TypeAlias = npt.NDArray[np.int64]

MISSING = -1
"""In place of a number that is NULL or whose column this version of the export has not."""

KNOWN_TABLES = ("CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME", "NVTX_EVENTS")
SQLITE_MAGIC = b"SQLite format 3\x00"
_ROWS = 50_000
_STEPS_PER_BYTE = 200  # of SQLite's machine; reading a table of a sound file takes about 5
_LEAST_STEPS = 50_000_000
_HANDLER_STEPS = 1_000_000


class NsysTables(Protocol):
    """Reads tables; `skipped` counts the rows left out so far for values of the wrong type."""

    skipped: int

    def has(self, table: str) -> bool:
        """Whether the table is there."""

    def integers(self, table: str, columns: Sequence[str]) -> tuple[Integers, ...]:
        """The columns of a table, equally long; `MISSING` where one has no value.

        Rows whose first column holds no number are left out. A table that is not there is empty.
        """

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """The rows of a small table as they are; None for a column that is not there."""


class SqliteTables:
    """The tables of an SQLite file; its state is the open connection."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file, self._connection = file, connection
        self.skipped = 0
        rows = self._fetch("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        self._columns = {
            str(name): self._columns_of(str(name))
            for name, sql in rows
            if not str(sql).upper().startswith("CREATE VIRTUAL")
        }

    def has(self, table: str) -> bool:
        """As `NsysTables.has`."""
        return table in self._columns

    def integers(self, table: str, columns: Sequence[str]) -> tuple[Integers, ...]:
        """As `NsysTables.integers`."""
        known = self._columns.get(table)
        if known is None or columns[0] not in known:
            return tuple(np.zeros(0, dtype=np.int64) for _ in columns)
        terms = ", ".join(_integer(name, known) for name in columns)
        where = f"WHERE typeof({_quoted(columns[0])}) = 'integer'"
        whole = f"SELECT {terms} FROM {_quoted(table)} {where}"
        blocks = list(self._blocks(whole, len(columns)))
        found = np.concatenate([*blocks, np.zeros((0, len(columns)), dtype=np.int64)])
        ((count,),) = self._fetch(f"SELECT count(*) FROM {_quoted(table)}")
        self.skipped += int(str(count)) - len(found)
        return tuple(np.ascontiguousarray(column) for column in found.T)

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """As `NsysTables.texts`."""
        known = self._columns.get(table, frozenset())
        if not known:
            return []
        terms = ", ".join(_quoted(name) if name in known else "NULL" for name in columns)
        return self._fetch(f"SELECT {terms} FROM {_quoted(table)}")

    def _blocks(self, query: str, width: int) -> Iterator[Integers]:
        with self._damage():
            cursor = self._connection.execute(query)
            while rows := cursor.fetchmany(_ROWS):
                flat = np.fromiter(chain.from_iterable(rows), np.int64, width * len(rows))
                yield flat.reshape(-1, width)

    def _fetch(self, query: str) -> list[tuple[object, ...]]:
        with self._damage():
            return self._connection.execute(query).fetchall()

    def _columns_of(self, table: str) -> frozenset[str]:
        rows = self._fetch(f"PRAGMA table_info({_quoted(table)})")
        return frozenset(str(row[1]) for row in rows)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise DpprofError(
                f"{self._file}: no sound SQLite export of Nsight Systems ({error}); export it "
                "again: nsys export --type sqlite REPORT.nsys-rep"
            ) from error


class ParquetTables:
    """The tables of a folder that ``nsys export --type parquetdir`` wrote."""

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
        first = frame[columns[0]]
        sound = np.array([one is not None for one in first], dtype=bool)
        self.skipped += int((~sound).sum())
        empty: list[object] = [None] * len(first)
        return tuple(_integers(frame.get(name, empty), sound) for name in columns)

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """As `NsysTables.texts`."""
        frame = self._read(table, columns)
        count = max(map(len, frame.values()), default=0)
        empty: list[object] = [None] * count
        return list(zip(*(frame.get(name, empty) for name in columns), strict=True))

    def _read(self, table: str, columns: Sequence[str]) -> dict[str, list[object]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

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
        return {name: found.column(name).to_pylist() for name in known}


def _integers(values: list[object], sound: npt.NDArray[np.bool_]) -> Integers:
    numbers = (one if isinstance(one, int) else MISSING for one in values)
    return np.fromiter(numbers, np.int64, len(values))[sound]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _integer(name: str, known: frozenset[str]) -> str:
    if name not in known:
        return str(MISSING)
    return f"CASE typeof({_quoted(name)}) WHEN 'integer' THEN {_quoted(name)} ELSE {MISSING} END"


def is_export(path: Path) -> bool:
    """Whether a path is an export of Nsight Systems: an SQLite file, or a folder of its tables."""
    if path.is_dir():
        return any((path / f"{table}.parquet").is_file() for table in KNOWN_TABLES)
    try:
        with path.open("rb") as stream:
            return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False


@contextmanager
def open_export(path: Path) -> Iterator[NsysTables]:
    """The tables of an SQLite file or a folder of Parquet files; raises `DpprofError`."""
    if path.is_dir():
        yield ParquetTables(path)
        return
    connection = _connect(path)
    try:
        yield SqliteTables(path, connection)
    finally:
        connection.close()


def _connect(file: Path) -> sqlite3.Connection:
    """Open read-only and untouched: no journal is replayed, no function of the file is trusted."""
    try:
        size = file.stat().st_size
        address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except (sqlite3.Error, OSError) as error:
        raise DpprofError(f"{file}: cannot be read ({error})") from error
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    left = [max(_LEAST_STEPS, size * _STEPS_PER_BYTE) // _HANDLER_STEPS]

    def spent() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    connection.set_progress_handler(spent, _HANDLER_STEPS)
    return connection
