"""Exports that lack tables, and damaged ones: the rest is read, or one clear error says why not.

``python -m tests.trace.nsys.test_missing 1000`` damages so many files and gives the counts.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.nsys.reader import read_nsys
from dpprof.trace.nsys.sqlite_tables import SqliteTables
from tests.trace.nsys.conftest import TABLES
from tests.trace.nsys.twin import pipeline

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Any:
    """The exports of a run of two ranks, and its report."""
    twin = pipeline(1, ranks=2, micro_batches=range(2))
    _, folder = twin.write(tmp_path_factory.mktemp("whole"))
    return twin, analyze(load_run(folder))


@pytest.mark.parametrize("table", sorted(set(TABLES) - {KERNELS}))
def test_without_a_table_no_figure_is_another(whole: Any, table: str, tmp_path: Path) -> None:
    twin, report = whole
    for rank, export in enumerate(twin.exports):
        export.write(tmp_path / f"rank{rank}.sqlite", without=(table,))
    lacking = analyze(load_run(tmp_path))
    total, before = lacking.total, report.total
    assert sum(total.states_ns.values()) == total.window_ns
    assert total.states_ns["compute_only"] + total.states_ns["overlap"] > 0
    if [one.step for one in lacking.per_step] == [one.step for one in report.per_step]:
        assert total.wait_ns in (None, before.wait_ns) or total.unsplit_ns
        assert total.blocking_ns in (None, before.blocking_ns)
        computing = ("compute_only", "overlap")
        assert sum(total.states_ns[one] for one in computing) == sum(
            before.states_ns[one] for one in computing
        )


SYNC = "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION"


@pytest.mark.parametrize(
    ("table", "column", "same"),
    [
        *((KERNELS, "deviceId", True), (SYNC, "deviceId", True)),  # there is but one
        *((KERNELS, "streamId", False), (SYNC, "streamId", False)),
        *((SYNC, "syncType", False), (SYNC, "start", False)),
    ],
)
def test_without_a_column_what_blocks_is_the_same_or_not_known(
    whole: Any, table: str, column: str, same: bool, tmp_path: Path
) -> None:
    twin, report = whole
    for rank, export in enumerate(twin.exports):
        connection = sqlite3.connect(export.write(tmp_path / f"rank{rank}.sqlite"))
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.close()
    lacking = analyze(load_run(tmp_path)).total
    assert report.total.blocking_ns > 0
    assert lacking.blocking_ns == (report.total.blocking_ns if same else None)


def damaged(data: bytes, chance: random.Random, most: int = 60) -> bytes:
    """The file with up to `most` bytes changed, or a page zeroed, or its end cut off."""
    found = bytearray(data)
    way = chance.randrange(3)
    if way == 0:
        for _ in range(chance.randrange(1, most)):
            found[chance.randrange(len(found))] = chance.randrange(256)
    elif way == 1:
        page = chance.randrange(len(found) // 4096) * 4096
        found[page : page + 4096] = bytes(4096)
    else:
        del found[chance.randrange(100, len(found)) :]
    return bytes(found)


def outcomes(count: int, seed: int, folder: Path) -> Counter[str]:
    """How many of so many damaged files were read and refused; any other error is raised."""
    chance, result = random.Random(seed), Counter[str]()
    file = pipeline(seed, ranks=1).exports[0].write(folder / "sound.sqlite")
    data, target = file.read_bytes(), folder / "rank0.sqlite"
    for _ in range(count):
        target.write_bytes(damaged(data, chance))
        begin = time.perf_counter()
        try:
            for trace in read_nsys(target):
                assert len(trace.start_ns) == len(trace.name) == len(trace.bytes)
            result["read"] += 1
        except DpprofError as error:
            if str(target) not in str(error):
                raise
            result["refused"] += 1
        result["slow"] += time.perf_counter() - begin > 5
    return result


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    found = outcomes(40, 3, tmp_path)
    assert found["read"] > 0
    assert found["refused"] > 0
    assert found["slow"] == 0


class OutOfMemory:
    """A connection to a file over whose damage SQLite takes memory to be short."""

    def execute(self, _: str) -> None:
        raise MemoryError


def test_damage_that_sqlite_takes_for_a_lack_of_memory_names_the_file(tmp_path: Path) -> None:
    connection: Any = OutOfMemory()
    with pytest.raises(DpprofError, match=r"rank0\.sqlite: .* damaged"):
        SqliteTables(tmp_path / "rank0.sqlite", connection)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        print(dict(outcomes(int(sys.argv[1]), 7, Path(base))))
