"""Builds exports of Nsight Systems by hand: times in nanoseconds from the start of the session."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest

EPOCH_NS = 1_700_000_000_000_000_000
TABLES = {
    "StringIds": "id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER",
    "TARGET_INFO_SYSTEM_ENV": "name TEXT, value TEXT",
    "DIAGNOSTIC_EVENT": "severity INTEGER, text TEXT",
    "ThreadNames": "nameId INTEGER, globalTid INTEGER",
    "CUPTI_ACTIVITY_KIND_KERNEL": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, "
    "correlationId INTEGER, globalPid INTEGER, demangledName INTEGER, shortName INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMCPY": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, "
    "correlationId INTEGER, globalPid INTEGER, bytes INTEGER, copyKind INTEGER, "
    "srcDeviceId INTEGER, dstDeviceId INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMSET": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, "
    "correlationId INTEGER, globalPid INTEGER, bytes INTEGER",
    "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": "start INTEGER, end INTEGER, deviceId INTEGER, "
    "streamId INTEGER, correlationId INTEGER, globalPid INTEGER",
    "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION": "start INTEGER, end INTEGER, deviceId INTEGER, "
    "streamId INTEGER, correlationId INTEGER, globalPid INTEGER, syncType INTEGER, "
    "eventSyncId INTEGER",
    "CUPTI_ACTIVITY_KIND_CUDA_EVENT": "deviceId INTEGER, streamId INTEGER, "
    "correlationId INTEGER, globalPid INTEGER, eventId INTEGER, eventSyncId INTEGER",
    "CUDA_GPU_MEMORY_USAGE_EVENTS": "start INTEGER, globalPid INTEGER, deviceId INTEGER, "
    "address INTEGER, bytes INTEGER, memKind INTEGER, memoryOperationType INTEGER",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "start INTEGER, end INTEGER, globalTid INTEGER, "
    "correlationId INTEGER, nameId INTEGER",
    "NVTX_EVENTS": "start INTEGER, end INTEGER, eventType INTEGER, globalTid INTEGER, "
    "domainId INTEGER, textId INTEGER, text TEXT, binaryData BLOB",
    "NVTX_PAYLOAD_SCHEMA_ENTRIES": "domainId INTEGER, schemaId INTEGER, type INTEGER, name TEXT, "
    "offset INTEGER",
}
NCCL_DOMAIN = 7
INIT, MESSAGE, COLLECTIVE = 100, 101, 102
_FIELDS = {
    INIT: [(18, "NCCL communicator ID", None), (5, "No. of ranks", 8), (5, "Rank", 12)],
    MESSAGE: [(18, "NCCL communicator ID", None), (22, "Message size [bytes]", 8)],
    COLLECTIVE: [(18, "NCCL communicator ID", None), (22, "Message size [bytes]", 8)],
}
_FIELDS[MESSAGE] = [*_FIELDS[MESSAGE], (5, "Peer rank", 16)]


class Export:
    """Collects rows, then writes the file; has state because a file is built row by row."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.strings: dict[str, int] = {}
        self.count = 0
        self.add("TARGET_INFO_SESSION_START_TIME", utcEpochNs=EPOCH_NS)
        for schema, fields in _FIELDS.items():
            for type_, name, offset in fields:
                values = {"type": type_, "name": name, "offset": offset}
                self.add(
                    "NVTX_PAYLOAD_SCHEMA_ENTRIES", domainId=NCCL_DOMAIN, schemaId=schema, **values
                )

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(values)

    def text(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings) + 1)

    def kernel(
        self,
        pid: int,
        name: str,
        start: int,
        end: int,
        launched: int | None = None,
        device: int = 0,
        stream: int = 7,
    ) -> None:
        """A kernel and, where `launched` says when, the call that launched it."""
        self.count += 1
        self.add(
            "CUPTI_ACTIVITY_KIND_KERNEL", start=start, end=end, deviceId=device, streamId=stream,
            correlationId=self.count, globalPid=pid << 24, demangledName=self.text(name),
        )  # fmt: skip
        if launched is not None:
            self.add(
                "CUPTI_ACTIVITY_KIND_RUNTIME", start=launched, end=launched + 1,
                globalTid=pid << 24 | pid, correlationId=self.count,
                nameId=self.text("cudaLaunchKernel_v7000"),
            )  # fmt: skip

    def call(self, pid: int, name: str, start: int) -> int:
        """A call of the runtime that launches nothing; gives its correlation."""
        self.count += 1
        self.add(
            "CUPTI_ACTIVITY_KIND_RUNTIME", start=start, end=start + 1,
            globalTid=pid << 24 | pid, correlationId=self.count, nameId=self.text(name),
        )  # fmt: skip
        return self.count

    def wait(
        self,
        pid: int,
        recorded: tuple[int, int],
        waiting: tuple[int, int],
        devices: tuple[int, int] = (0, 0),
        sync: int | None = None,
    ) -> None:
        """A stream waits for an event of another; each is a stream and when the host said so."""
        event = self.call(pid, "cudaEventRecord_v3020", recorded[1])
        self.add(
            "CUPTI_ACTIVITY_KIND_CUDA_EVENT", deviceId=devices[0], streamId=recorded[0],
            correlationId=event, globalPid=pid << 24, eventId=7,
            eventSyncId=event if sync is None else sync,
        )  # fmt: skip
        call = self.call(pid, "cudaStreamWaitEvent_v3020", waiting[1])
        self.add(
            "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", start=waiting[1], end=waiting[1] + 1,
            deviceId=devices[1], streamId=waiting[0], correlationId=call, globalPid=pid << 24,
            syncType=2, eventSyncId=event if sync is None else sync,
        )  # fmt: skip

    def copy(self, pid: int, kind: int, start: int, end: int, **more: Any) -> None:
        self.count += 1
        self.add(
            "CUPTI_ACTIVITY_KIND_MEMCPY", start=start, end=end, deviceId=0, streamId=9,
            correlationId=self.count, globalPid=pid << 24, bytes=64, copyKind=kind, **more,
        )  # fmt: skip

    def range(
        self,
        pid: int,
        text: str,
        start: int,
        end: int | None,
        *,
        inline: bool = False,
        domain: int = 0,
        payload: bytes | None = None,
        kind: int = 59,
    ) -> None:
        words = {"text": text} if inline else {"textId": self.text(text)}
        self.add(
            "NVTX_EVENTS", start=start, end=end, eventType=kind, globalTid=pid << 24 | pid,
            domainId=domain, binaryData=payload, **words,
        )  # fmt: skip

    def communicator(self, pid: int, id: int, ranks: int, rank: int) -> None:
        body = struct.pack("<QIIII", id, ranks, rank, 0, 0)
        self.range(pid, "ncclCommInitRank", 0, 1, domain=NCCL_DOMAIN, payload=_payload(INIT, body))

    def message(self, pid: int, text: str, id: int, peer: int, start: int, end: int) -> None:
        body = struct.pack("<QQII", id, 4096, peer, 0)
        self.range(pid, text, start, end, domain=NCCL_DOMAIN, payload=_payload(MESSAGE, body))

    def collective(self, pid: int, text: str, id: int, start: int, end: int) -> None:
        body = struct.pack("<QQ", id, 4096)
        self.range(pid, text, start, end, domain=NCCL_DOMAIN, payload=_payload(COLLECTIVE, body))

    def write(self, file: Path, without: tuple[str, ...] = ()) -> Path:
        """The export as a file, `without` some of its tables."""
        strings = [{"id": id, "value": text} for text, id in self.strings.items()]
        connection = sqlite3.connect(file)
        for table, columns in TABLES.items():
            if table in without:
                continue
            connection.execute(f"CREATE TABLE {table} ({columns})")
            for row in strings if table == "StringIds" else self.rows[table]:
                places = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values())
                )
        connection.commit()
        connection.close()
        return file

    def write_parquet(self, folder: Path, change: Any = None, **how: Any) -> Path:
        """The export as a folder of Parquet tables, each as `change` makes it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir()
        strings = [{"id": id, "value": text} for text, id in self.strings.items()]
        for table, rows in (self.rows | {"StringIds": strings}).items():
            if rows:
                names = sorted({name for row in rows for name in row})
                whole = pa.table({name: [row.get(name) for row in rows] for name in names})
                whole = change(whole) if change is not None else whole
                pq.write_table(whole, folder / f"{table}.parquet", **how)
        return folder


def _payload(schema: int, body: bytes) -> bytes:
    return struct.pack("<IIIIQQ", NCCL_DOMAIN, 0, schema, 0, len(body), len(body)) + body


@pytest.fixture
def export() -> Export:
    return Export()
