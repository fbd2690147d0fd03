"""What all tests share: runs made by hand, and a cache that is not that of whoever runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, empty_table, make_table

# A test says what is right, not how fast: a busy machine must not fail one. In CI a commit passes
# or fails whenever it is run; everywhere else every run draws examples of its own.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Signals that a shell's ``&`` and ``nohup`` have ignored are heard: tests send some."""
    for number, heard in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, heard)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what the tests read in a cache of their own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPROF_CACHE_DIR", str(folder))
        yield folder


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
