"""Runs made by hand for exports: two ranks that send, receive and reduce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, make_table

Row = dict[str, Any]
START_NS = 1_700_000_000_000_000_123


def event(rank: int, start: int, end: int, kind: str = "compute", **fields: Any) -> Row:
    row = {"rank": rank, "start_ns": START_NS + start, "end_ns": START_NS + end, "kind": kind}
    return row | {"step": 0, "lane": "stream 7", "name": kind} | fields


def table(columns: dict[str, str], rows: list[Row]) -> Any:
    names = {name for row in rows for name in row}
    text = {name for name, dtype in columns.items() if not dtype.startswith("int")}
    values = {name: [row.get(name, "" if name in text else -1) for row in rows] for name in names}
    return make_table(columns, values)


@pytest.fixture
def make_event() -> Callable[..., Row]:
    return event


@pytest.fixture
def late_send() -> Run:
    """Rank 0 notes its send 500 ns after rank 1 has received all of it, still in its slot."""
    said = {"part": "F", "operation": "F", "direction": 0, "micro_batch": 0}
    message = {"group": "0>1", "sequence": 0, "lane": "stream 9"} | said
    events = [
        event(0, 0, 2000),
        event(0, 3000, 4000, "p2p", peer=1, **message),
        event(1, 1000, 2500, "p2p", peer=0, ready_ns=START_NS + 3000, **message),
    ]
    slots = [
        {"rank": 0, "step": 0, "start_ns": START_NS, "end_ns": START_NS + 4000}
        | {"slot": "F0.0&B1.2", "operation": "F&B"},
        {"rank": 1, "step": 0, "start_ns": START_NS + 2600, "end_ns": START_NS + 6500}
        | {"slot": "F0.0", "operation": "F"},
    ]
    return Run(
        name="late",
        source="emulated",
        events=table(EVENTS, events),
        places=(RankPlace(rank=0, pp_rank=0), RankPlace(rank=1, pp_rank=1)),
        slots=table(SLOTS, slots),
    )


@pytest.fixture
def two_ranks() -> Run:
    """Rank 0 computes and sends; rank 1 waits for it; both reduce, rank 1 comes last."""
    lane = {"lane": "stream 9"}
    message = {"group": "0>1", "sequence": 0, "bytes": 64, **lane}
    reduced = {"group": "dp", "sequence": 0, "ready_ns": START_NS + 7000, **lane}
    events = [
        event(0, 0, 3000, slot="F0.0"),
        event(0, 3000, 4000, "p2p", peer=1, **message),
        event(0, 5000, 8000, "all_reduce", **reduced),
        event(1, 1000, 4000, "p2p", peer=0, ready_ns=START_NS + 3000, **message),
        event(1, 4000, 6500, slot="F0.0"),
        event(1, 7000, 8001, "all_reduce", **reduced),
    ]
    slots = [
        {"rank": 0, "step": 0, "start_ns": START_NS, "end_ns": START_NS + 4000, "slot": "F0.0"},
        {"rank": 1, "step": 0, "start_ns": START_NS + 1000, "end_ns": START_NS + 6500}
        | {"slot": "F0.0", "operation": "F"},
    ]
    memory = [
        {"rank": 0, "step": 0, "at_ns": START_NS + 500, "allocated_bytes": 10},
        {"rank": 0, "step": 0, "at_ns": START_NS + 900, "allocated_bytes": 7},
    ]
    return Run(
        name="two ranks",
        source="emulated",
        events=table(EVENTS, events),
        places=(RankPlace(rank=0, pp_rank=0, stages=[0, 1]), RankPlace(rank=1, pp_rank=1)),
        slots=table(SLOTS, slots),
        memory=table(MEMORY, memory),
    )
