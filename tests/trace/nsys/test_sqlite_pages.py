"""What is read straight from the pages of an SQLite file is what SQLite itself reads."""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.nsys.database import MISSING
from dpprof.trace.nsys.sqlite_pages import UnusualTable, read_integers
from dpprof.trace.nsys.sqlite_tables import SqliteTables, connect
from tests.trace.nsys.test_missing import damaged

WHOLE = st.one_of(
    st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1), st.integers(0, 63).map(lambda n: 1 << n)
).filter(lambda n: n < 2**63)
ANY = st.one_of(WHOLE, st.none(), st.floats(allow_nan=False), st.text(max_size=9), st.binary())


def written(file: Path, rows: list[Any], page: int = 4096, more: str = "") -> tuple[Path, int]:
    """A file with a table of these rows (a, b, c, d) and another; and the table's first page."""
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.executescript(
        f"PRAGMA page_size = {page}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"
    )
    connection.execute(f"CREATE TABLE t (a INTEGER, b INTEGER, c TEXT, d INTEGER{more})")
    connection.execute("CREATE TABLE other (a INTEGER)")
    for row in rows:  # so that the pages of the two lie between each other
        connection.execute("INSERT INTO t(a, b, c, d) VALUES (?, ?, ?, ?)", row)
        connection.execute("INSERT INTO other VALUES (7)")
    connection.commit()
    ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 't'")
    connection.close()
    return file, root


def by_sqlite(file: Path) -> tuple[list[tuple[int, ...]], int]:
    """The whole numbers of a, d and b where a is one; how many rows have none."""
    connection = sqlite3.connect(file)
    connection.text_factory = bytes
    try:
        rows = connection.execute("SELECT a, d, b FROM t").fetchall()
    finally:
        connection.close()
    sound = [row for row in rows if isinstance(row[0], int)]
    numbers = [tuple(n if isinstance(n, int) else MISSING for n in row) for row in sound]
    return numbers, len(rows) - len(sound)


def by_pages(file: Path, root: int) -> tuple[list[tuple[int, ...]], int]:
    columns, skipped = read_integers(file, root, (0, 3, 1))
    return list(zip(*(one.tolist() for one in columns), strict=True)), skipped


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=20), st.sampled_from([512, 4096, 65536]))
def test_any_values_are_those_of_sqlite(rows: list[Any], page: int) -> None:
    with tempfile.TemporaryDirectory() as base:
        file, root = written(Path(base) / "a.sqlite", rows, page)
        try:
            found = by_pages(file, root)
        except UnusualTable:
            assert any(len(str(one)) > 100 for row in rows for one in row)  # fills more than a page
            return
        assert found == by_sqlite(file)


@pytest.mark.parametrize("page", [512, 4096])
def test_a_table_of_many_pages_and_levels(page: int, tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = [
        (n * 1_000_003, chance.choice([None, 0, 1, -5, 1 << 40]), "x" * chance.randrange(60), -n)
        for n in range(9_000)
    ]
    file, root = written(tmp_path / "a.sqlite", rows, page)
    assert by_pages(file, root) == by_sqlite(file)


def test_pages_that_keep_bytes_for_themselves(tmp_path: Path) -> None:
    file, root = written(tmp_path / "a.sqlite", [])
    data = bytearray(file.read_bytes())
    data[20] = 32  # of each page, for an extension of SQLite's
    for page in (*range(4096, len(data), 4096),):
        data[page + 5 : page + 7] = (4096 - 32).to_bytes(2, "big")
    file.write_bytes(data)
    connection = sqlite3.connect(file)
    connection.executemany("INSERT INTO t VALUES (?, 2, 'x', 4)", ((n,) for n in range(900)))
    connection.commit()
    connection.close()
    assert by_pages(file, root) == ([(n, 4, 2) for n in range(900)], 0)


def asked(file: Path, *columns: str) -> tuple[list[list[int]], int]:
    """As the reader reads, whichever way."""
    connection = connect(file)
    tables = SqliteTables(file, connection)
    found = [one.tolist() for one in tables.integers("t", columns)]
    connection.close()
    return found, tables.skipped


def test_unusual_tables_are_left_to_sqlite(tmp_path: Path) -> None:
    rows = [(1, 2, "x" * 9_000, 4), (5, 6, "y", 8)]
    file, root = written(tmp_path / "a.sqlite", rows)
    with pytest.raises(UnusualTable):
        by_pages(file, root)
    assert asked(file, "a", "d", "z") == ([[1, 5], [4, 8], [MISSING, MISSING]], 0)


@pytest.mark.parametrize(
    "table",
    [
        "(a INTEGER PRIMARY KEY, b INTEGER)",
        "(a INTEGER PRIMARY KEY, b INTEGER) WITHOUT ROWID",
        "(b INTEGER, c INTEGER AS (b + 1), a INTEGER)",
        "(a REAL, b INTEGER, c INTEGER)",
    ],
)
def test_what_is_not_stored_as_it_reads(table: str, tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    connection = sqlite3.connect(file)
    connection.execute(f"CREATE TABLE t {table}")
    connection.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(3, 4), (5, 6)])
    connection.commit()
    connection.close()
    expected = ([[], []], 2) if "REAL" in table else ([[3, 5], [4, 6]], 0)
    assert asked(file, "a", "b") == expected


def test_a_column_that_came_later_has_its_default(tmp_path: Path) -> None:
    file, _ = written(tmp_path / "a.sqlite", [(1, 2, "x", 4)])
    connection = sqlite3.connect(file)
    connection.execute("ALTER TABLE t ADD COLUMN e INTEGER DEFAULT 9")
    connection.commit()
    connection.close()
    assert asked(file, "a", "e") == ([[1], [9]], 0)


def test_pages_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    file, root = written(tmp_path / "a.sqlite", [(n, 0, "x" * 50, 0) for n in range(900)], 512)
    data = bytearray(file.read_bytes())
    page = (root - 1) * 512
    assert data[page] == 5
    data[page + 8 : page + 12] = root.to_bytes(4, "big")
    file.write_bytes(data)
    with pytest.raises(UnusualTable):
        by_pages(file, root)


def compared(count: int, seed: int, folder: Path) -> Counter[str]:
    """How many of so many damaged files both read; they must then read the same."""
    chance, result = random.Random(seed), Counter[str]()
    rows = [(n << 20, n % 3 or None, "x" * (n % 40), -n) for n in range(400)]
    file, root = written(folder / "a.sqlite", rows, 512)
    data = file.read_bytes()
    for _ in range(count):
        file.write_bytes(damaged(data, chance, most=4))
        try:
            found = by_pages(file, root)
        except UnusualTable:
            result["left to SQLite"] += 1
            continue
        try:
            assert found == by_sqlite(file)
            result["the same"] += 1
        except (sqlite3.Error, UnicodeError):
            result["SQLite refuses"] += 1
        try:
            asked(file, "a", "d", "b")
        except DpprofError:
            result["refused"] += 1
    return result


def test_damaged_pages_are_read_as_sqlite_reads_them(tmp_path: Path) -> None:
    found = compared(60, 5, tmp_path)
    assert found["the same"] > 5
    assert found["left to SQLite"] > 5


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        print(dict(compared(int(sys.argv[1]), 7, Path(base))))


def test_a_file_whose_last_changes_are_in_a_journal_is_refused(tmp_path: Path) -> None:
    file, _ = written(tmp_path / "run.sqlite", [(1, 2, "", 3)])
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO other VALUES (8)")
    writer.commit()
    with pytest.raises(DpprofError, match=r"run\.sqlite: was not closed.*run\.sqlite-wal"):
        connect(file)
    writer.close()  # takes the journal in
    connect(file).close()
