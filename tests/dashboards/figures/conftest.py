"""Runs made by hand for figures: a pair of ranks in two steps."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, make_table

MS = 1_000_000


def make_run(rows: list[dict[str, Any]], **fields: Any) -> Run:
    """A run of rows of the events table, times in milliseconds; by default compute of step 0."""
    default = {"step": 0, "kind": "compute", "lane": "0", "name": "work"}
    whole = [default | row for row in rows]
    scaled = [
        row | {"start_ns": row["start_ns"] * MS, "end_ns": row["end_ns"] * MS} for row in whole
    ]
    names = sorted({name for row in scaled for name in row})
    missing = {name: -1 if EVENTS[name].startswith("int") else "" for name in names}
    values = {name: [row.get(name, missing[name]) for row in scaled] for name in names}
    ranks = sorted({row["rank"] for row in rows})
    return Run(
        name=fields.pop("name", "hand-made"),
        source=fields.pop("source", "captured"),
        events=make_table(EVENTS, values),
        places=tuple(RankPlace(rank=rank, pp_rank=rank) for rank in ranks),
        **fields,
    )


@pytest.fixture(scope="session")
def build() -> Any:
    return make_run


@pytest.fixture(scope="session")
def two_steps() -> Run:
    """Rank 0 computes 30, then 40 ms; rank 1 10, then 20 ms and idles before."""
    return make_run(
        [
            {"rank": 0, "start_ns": 0, "end_ns": 30, "step": 1},
            {"rank": 1, "start_ns": 20, "end_ns": 30, "step": 1},
            {"rank": 0, "start_ns": 100, "end_ns": 140, "step": 2},
            {"rank": 1, "start_ns": 120, "end_ns": 140, "step": 2},
        ],
        used_steps=(1, 2),
    )
