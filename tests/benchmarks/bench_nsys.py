"""How many kernels a second an export of Nsight Systems is read with, beside plain sqlite3.

Usage: ``python tests/benchmarks/bench_nsys.py [--kernels 1000000]`` writes an export with so many
kernels and as many launches, as SQLite and as Parquet, and reads its tables: as Python's sqlite3
gives them (the yardstick), as the reader does, and by Arrow; then the whole trace. Figures are
processor seconds, the best of three, and the memory that the columns take beside the most that the
process took.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dpprof.trace.nsys.database import open_export
from dpprof.trace.nsys.reader import read_nsys

KERNELS, LAUNCHES = "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME"
COLUMNS = {
    KERNELS: (
        *("start", "end", "deviceId", "streamId", "correlationId", "globalPid"),
        "demangledName",
    ),
    LAUNCHES: ("start", "end", "globalTid", "correlationId", "nameId"),
}
BESIDE = ("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ", "registersPerThread", "gridId")
MAY_BE_NULL = ("correlationId", "globalPid", "globalTid")
PID = 281476838981632


def make(folder: Path, count: int) -> tuple[Path, Path]:
    """An export of `count` kernels as an SQLite file and as a folder of Parquet files."""
    number = np.arange(count)
    start = 155_000_000_000 + 9_000 * number
    none = np.zeros(count, dtype=np.int64)
    tables = {
        KERNELS: {
            "start": start, "end": start + 8_000, "deviceId": none, "streamId": 7 + number % 5,
            "correlationId": number + 1, "globalPid": none + PID,
            "demangledName": 1 + number % 300, "shortName": 301 + number % 300,
            **dict.fromkeys(BESIDE, number % 64),
        },
        LAUNCHES: {
            "start": start - 50_000, "end": start - 45_000, "globalTid": none + PID + 77,
            "correlationId": number + 1, "nameId": none + 601, "eventClass": none,
            "returnValue": none, "callchainId": none,
        },
        "StringIds": {"id": np.arange(1, 602), "value": [f"kernel {n}" for n in range(601)]},
    }  # fmt: skip
    file, parquet = folder / "rank0.sqlite", folder / "rank0_pqtdir"
    parquet.mkdir()
    connection = sqlite3.connect(file)
    for name, columns in tables.items():
        kinds = ", ".join(f"{one} {_kind(one)}" for one in columns)
        connection.execute(f"CREATE TABLE {name} ({kinds})")
        rows = zip(*(np.asarray(one).tolist() for one in columns.values()), strict=True)
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
        pq.write_table(pa.table(columns), parquet / f"{name}.parquet")
    connection.commit()
    connection.close()
    return file, parquet


def _kind(column: str) -> str:
    """How the exports declare a column."""
    kind = "TEXT" if column == "value" else "INTEGER"
    return kind if column in MAY_BE_NULL else f"{kind} NOT NULL"


def plain(file: Path, table: str) -> None:
    """Read a table as Python's sqlite3 gives it, a value a column."""
    connection = sqlite3.connect(file)
    cursor = connection.execute(f"SELECT {', '.join(COLUMNS[table])} FROM {table}")
    width, blocks = len(COLUMNS[table]), []
    while rows := cursor.fetchmany(2_000):
        blocks.append(np.fromiter(chain.from_iterable(rows), np.int64, width * len(rows)))
    np.concatenate(blocks)
    connection.close()


def columns(path: Path, table: str) -> None:
    """Read a table as the reader does."""
    with open_export(path) as tables:
        tables.integers(table, COLUMNS[table])


def best(what: Callable[[], object]) -> float:
    """Processor seconds of the fastest of three."""
    found = []
    for _ in range(3):
        begin = time.process_time()
        what()
        found.append(time.process_time() - begin)
    return min(found)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=int, default=1_000_000)
    count = parser.parse_args().kernels
    with tempfile.TemporaryDirectory() as base:
        file, parquet = make(Path(base), count)
        for table in (KERNELS, LAUNCHES):
            yardstick = best(lambda table=table: plain(file, table))
            for name, path in (("SQLite", file), ("Parquet by Arrow", parquet)):
                seconds = best(lambda path=path, table=table: columns(path, table))
                print(
                    f"{table}: {name}: {count / seconds / 1e6:.2f} million rows a second, "
                    f"x{yardstick / seconds:.2f} of plain sqlite3"
                )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, path in (("SQLite", file), ("Parquet", parquet)):
            seconds = best(lambda path=path: read_nsys(path))
            print(f"the trace, {name}: {count / seconds / 1e6:.2f} million kernels a second")
        (trace,) = read_nsys(file)
        held = sum(one.nbytes for one in vars(trace).values() if isinstance(one, np.ndarray))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"columns: {held / 1e6:.0f} MB; the process: {before / 1e3:.0f}, {most / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
