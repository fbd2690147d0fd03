"""Exports of another form say the same, and of what is not sound in them, that it is not."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run
from dpprof.trace.nsys.nccl import fields_of, read_schemas
from tests.trace.nsys.twin import pipeline

KERNELS, LAUNCHES = "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME"
SAME = {
    "ranges that start and end, with texts of their own": (
        "UPDATE NVTX_EVENTS SET text = (SELECT value FROM StringIds WHERE id = textId)",
        "UPDATE NVTX_EVENTS SET textId = NULL",
        "UPDATE NVTX_EVENTS SET eventType = 60 WHERE eventType = 59",
    ),
    "another order": (
        f"CREATE TABLE other AS SELECT * FROM {KERNELS} ORDER BY streamId, start DESC",
        f"DROP TABLE {KERNELS}",
        f"ALTER TABLE other RENAME TO {KERNELS}",
    ),
    "indexes, and texts twice": (
        f"CREATE INDEX one ON {KERNELS}(start)",
        "CREATE INDEX two ON StringIds(value)",
        "INSERT INTO StringIds SELECT id + 100000, value FROM StringIds",
    ),
    "no domains": ("ALTER TABLE NVTX_EVENTS DROP COLUMN domainId",),
    "no processes of kernels": (f"ALTER TABLE {KERNELS} DROP COLUMN globalPid",),
    "short names": (
        f"UPDATE {KERNELS} SET shortName = demangledName",
        f"ALTER TABLE {KERNELS} DROP COLUMN demangledName",
    ),
}
SAID = {
    f"UPDATE {KERNELS} SET end = NULL WHERE rowid % 10 = 0": "end before they begin",
    f"UPDATE {KERNELS} SET end = start - 5 WHERE rowid % 10 = 0": "end before they begin",
    f"UPDATE {KERNELS} SET end = 9000000000000000000 WHERE rowid = 3": "end before they begin",
    "DELETE FROM StringIds WHERE rowid % 3 = 0": "have no name in the file",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Any:
    """The files of a run of two ranks, and its report."""
    _, folder = pipeline(1, ranks=2, micro_batches=range(2)).write(tmp_path_factory.mktemp("whole"))
    return folder, analyze(load_run(folder))


def changed(folder: Path, to: Path, statements: Sequence[str]) -> Path:
    """The exports of a folder, with these statements done to each."""
    for file in folder.glob("*.sqlite"):
        connection = sqlite3.connect(shutil.copy(file, to))
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    return to


@pytest.mark.parametrize("form", SAME)
def test_another_form_says_the_same(whole: Any, form: str, tmp_path: Path) -> None:
    folder, expected = whole
    report = analyze(load_run(changed(folder, tmp_path, SAME[form])))
    assert (report.total, report.ranks) == (expected.total, expected.ranks)
    assert report.warnings == expected.warnings


@pytest.mark.parametrize("statement", SAID)
def test_what_is_not_sound_is_said(whole: Any, statement: str, tmp_path: Path) -> None:
    report = analyze(load_run(changed(whole[0], tmp_path, [statement])))
    assert SAID[statement] in "; ".join(report.warnings)


class Declared:
    """Stands for tables that hold payload schemas alone."""

    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self.rows = rows

    def texts(self, table: str, columns: Sequence[str]) -> list[tuple[object, ...]]:
        assert columns == ("domainId", "schemaId", "idx", "type", "name", "offset")
        return self.rows if table == "NVTX_PAYLOAD_SCHEMA_ENTRIES" else []


@pytest.mark.parametrize("seed", range(20))
def test_payloads_are_read_by_the_schema_that_is_declared(seed: int) -> None:
    chance = random.Random(seed)
    names = ["NCCL communicator ID", "Message size [bytes]", "Peer rank", "Root", "Rank"]
    chance.shuffle(names)
    rows: list[tuple[object, ...]] = []
    body, values = b"", {}
    for index, name in enumerate(names):
        body += bytes(chance.randrange(9))  # a gap
        kind = chance.choice([5, 18, 22]) if "ID" not in name else 18
        packed = {5: "<I", 18: "<Q", 22: "<Q"}[kind]
        values[name] = chance.randrange(2**31)
        rows.append((7, 100, index, kind, name, len(body)))
        body += struct.pack(packed, values[name])
    chance.shuffle(rows)
    header = struct.pack("<IIIIQQ", 7, 0, 100, 0, len(body), len(body))
    schemas = read_schemas(Declared(rows))  # type: ignore[arg-type]
    assert fields_of(header + body, schemas) == values
