"""Runs made by hand, in a few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, empty_table, make_table

Row = dict[str, Any]


def table(columns: dict[str, str], rows: Sequence[Row]) -> pd.DataFrame:
    if not rows:
        return empty_table(columns)
    names = {name for row in rows for name in row}
    missing = {name: -1 if columns[name].startswith("int") else "" for name in names}
    return make_table(
        columns, {name: [row.get(name, missing[name]) for row in rows] for name in names}
    )


def build_run(
    events: Sequence[Row],
    *,
    slots: Sequence[Row] = (),
    memory: Sequence[Row] = (),
    places: Sequence[RankPlace] = (),
    **fields: Any,
) -> Run:
    """A run from rows; every rank that has a row is a pipeline rank of its own."""
    ranks = sorted({row["rank"] for row in [*events, *slots, *memory]})
    return Run(
        name=fields.pop("name", "hand-made"),
        source=fields.pop("source", "captured"),
        events=table(EVENTS, [{"step": 0, **row} for row in events]),
        slots=table(SLOTS, [{"step": 0, **row} for row in slots]),
        memory=table(MEMORY, [{"step": 0, **row} for row in memory]),
        places=tuple(places) or tuple(RankPlace(rank=rank, pp_rank=rank) for rank in ranks),
        **fields,
    )


def build_event(rank: int, start: int, end: int, kind: str = "compute", **fields: Any) -> Row:
    return {"rank": rank, "start_ns": start, "end_ns": end, "kind": kind, "lane": "0", **fields}


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    return build_run


@pytest.fixture(scope="session")
def event() -> Callable[..., Row]:
    return build_event
