"""The tables of an SQLite export."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpprof.errors import DpprofError
from dpprof.trace.nsys.database import MISSING, Coded, Integers
from dpprof.trace.nsys.sqlite_pages import UnusualTable, read_integers

_ROWS = 2_000  # at a time: few enough to stay in the processor's cache
_STEPS_PER_BYTE = 200  # of SQLite's machine; reading a table of a sound file takes about 5
_LEAST_STEPS = 50_000_000
_HANDLER_STEPS = 1_000_000
_LEAST_ROW = 4  # bytes
_MOST_ASKED = 500  # strings in one query
_BINARY = "binaryData"


class _Table(NamedTuple):
    """A table, its first page, and the place of its columns in a row: None where what is stored
    may be another value than the column's."""

    name: str
    root: int | None
    places: Mapping[str, int | None]


class SqliteTables:
    """The tables of an SQLite file; its state is the open connection."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file, self._connection = file, connection
        self.skipped = 0
        rows = self._fetch("SELECT name, sql, rootpage FROM sqlite_master WHERE type = 'table'")
        self._tables = {
            str(name): self._table(str(name), root)
            for name, sql, root in rows
            if not str(sql).upper().startswith("CREATE VIRTUAL")
        }

    def has(self, table: str) -> bool:
        """As `NsysTables.has`."""
        return table in self._tables

    def integers(self, table: str, columns: Sequence[str]) -> tuple[Integers, ...]:
        """As `NsysTables.integers`."""
        known = self._known(table)
        if columns[0] not in known:
            return tuple(np.zeros(0, dtype=np.int64) for _ in columns)
        here = [name for name in columns if name in known]
        found = dict(zip(here, self._read(self._tables[table], here), strict=True))
        missing = np.full(len(found[here[0]]), MISSING, dtype=np.int64)
        return tuple(found.get(name, missing) for name in columns)

    def coded(self, table: str, key: str, column: str) -> Coded:
        """As `NsysTables.coded`."""
        known = self._known(table)
        if key not in known:
            return Coded(np.zeros(0, dtype=np.int64), [])
        value = _quoted(column) if column in known else "NULL"
        value = _cut(value) if column != _BINARY else value
        query = f"SELECT {value} FROM {_quoted(table)} WHERE typeof({_quoted(key)}) = 'integer'"
        numbers: dict[object, int] = {None: MISSING}
        self._connection.text_factory = bytes  # decoded once each, below
        blocks = [
            np.fromiter(
                (numbers.setdefault(one, len(numbers) - 1) for (one,) in rows), np.int64, len(rows)
            )
            for rows in self._rows(query)
        ]
        self._connection.text_factory = _text
        values = [
            _text(one) if isinstance(one, bytes) and column != _BINARY else one
            for one in list(numbers)[1:]
        ]
        return Coded(np.concatenate([*blocks, np.zeros(0, dtype=np.int64)]), values)

    def strings(self, ids: Integers) -> dict[int, str]:
        """As `NsysTables.strings`."""
        if not {"id", "value"} <= self._known("StringIds").keys():
            return {}
        query = f"SELECT id, {_cut('value')} FROM StringIds"
        wanted = np.unique(ids[ids >= 0]).tolist()
        found: list[tuple[object, ...]] = []
        for low in range(0, len(wanted), _MOST_ASKED):
            listed = ", ".join(map(str, wanted[low : low + _MOST_ASKED]))
            found += self._fetch(f"{query} WHERE id IN ({listed})")
        return {id: str(value) for id, value in found if isinstance(id, int)}

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        """As `NsysTables.texts`."""
        known = self._known(table)
        if not known:
            return []
        terms = ", ".join(_quoted(name) if name in known else "NULL" for name in columns)
        return self._fetch(f"SELECT {terms} FROM {_quoted(table)}")

    def _read(self, table: _Table, columns: Sequence[str]) -> list[Integers]:
        """These columns, which are there: from the file's pages, else as SQLite reads them."""
        places = [table.places[name] for name in columns]
        try:
            if None in places or table.root is None:
                raise UnusualTable
            found, skipped = read_integers(
                self._file, table.root, [one for one in places if one is not None]
            )
        except (UnusualTable, OSError):
            return self._asked(table.name, columns)
        self.skipped += skipped
        return found

    def _asked(self, table: str, columns: Sequence[str]) -> list[Integers]:
        terms = ", ".join(map(_integer, columns))
        where = f"WHERE typeof({_quoted(columns[0])}) = 'integer'"
        found = self._blocks(f"SELECT {terms} FROM {_quoted(table)} {where}", len(columns))
        ((count,),) = self._fetch(f"SELECT count(*) FROM {_quoted(table)}")
        self.skipped += int(str(count)) - len(found)
        return [np.ascontiguousarray(column) for column in found.T]

    def _blocks(self, query: str, width: int) -> Integers:
        blocks = [
            np.fromiter(chain.from_iterable(rows), np.int64, width * len(rows)).reshape(-1, width)
            for rows in self._rows(query)
        ]
        return np.concatenate([*blocks, np.zeros((0, width), dtype=np.int64)])

    def _rows(self, query: str) -> Iterator[list[tuple[object, ...]]]:
        with self._damage():
            cursor = self._connection.execute(query)
        left = self._file.stat().st_size // _LEAST_ROW
        while True:
            with self._damage():
                rows = cursor.fetchmany(_ROWS)
                left -= len(rows)
                if left < 0:
                    raise sqlite3.DatabaseError("more rows than fit into it")
            if not rows:
                return
            yield rows

    def _fetch(self, query: str) -> list[tuple[object, ...]]:
        with self._damage():
            return self._connection.execute(query).fetchall()

    def _known(self, table: str) -> Mapping[str, int | None]:
        return self._tables[table].places if table in self._tables else {}

    def _table(self, name: str, root: object) -> _Table:
        rows = self._fetch(f"PRAGMA table_xinfo({_quoted(name)})")
        computed = any(hidden for *_, hidden in rows)
        places = {
            str(column): None if computed or key or "INT" not in str(kind).upper() else int(str(at))
            for at, column, kind, _, _, key, _ in rows
        }
        return _Table(name, root if isinstance(root, int) else None, places)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise DpprofError(
                f"{self._file}: no sound SQLite export of Nsight Systems ({error}); export it "
                "again: nsys export --type sqlite REPORT.nsys-rep"
            ) from error
        except MemoryError as error:  # SQLite's word for some kinds of damage
            raise DpprofError(
                f"{self._file}: SQLite runs out of memory over it: it is damaged, or memory is "
                "short; export it again: nsys export --type sqlite REPORT.nsys-rep"
            ) from error


def connect(file: Path) -> sqlite3.Connection:
    """Open read-only and untouched: no journal is replayed, no function of the file is trusted.

    Raises `DpprofError` where there is a journal: the file alone is not all that was written.
    """
    _refuse_journal(file)
    try:
        size = file.stat().st_size
        address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except (sqlite3.Error, OSError) as error:
        raise DpprofError(f"{file}: cannot be read ({error})") from error
    connection.text_factory = _text
    left = [max(_LEAST_STEPS, size * _STEPS_PER_BYTE) // _HANDLER_STEPS]

    def spent() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    connection.set_progress_handler(spent, _HANDLER_STEPS)
    return connection


def _refuse_journal(file: Path) -> None:
    for ending in ("-wal", "-journal"):
        journal = file.with_name(file.name + ending)
        if journal.is_file() and journal.stat().st_size:
            raise DpprofError(
                f"{file}: was not closed, and its last changes are in {journal.name}; end what "
                f"writes it, type sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)', and read again"
            )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _integer(name: str) -> str:
    return f"CASE typeof({_quoted(name)}) WHEN 'integer' THEN {_quoted(name)} ELSE {MISSING} END"


def _cut(value: str) -> str:
    """The SQL of a text without the numbers of the call that `emit_nvtx` writes behind its name."""
    cases = "".join(
        f"WHEN instr({value}, '{word}') "
        f"THEN substr({value}, 1, instr({value}, '{word}') - 1) || ', op_id = 0' "
        for word in (", seq = ", ", op_id = ")
    )
    return f"CASE {cases} ELSE {value} END"
