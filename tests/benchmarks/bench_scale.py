"""Time and memory against the number of ranks: from traces, and of a big run in the cache.

Usage: ``python tests/benchmarks/bench_scale.py traces [--ranks 1,4,16]`` reads ranks of 200 MB each
(public traces, repeated; needs 3 GB of disk for 16 of them) and makes the report, without a cache
to begin with. ``... synthetic [--ranks 256] [--events 1000000]`` writes tables of made-up ranks to
a cache (30 MB a rank), matches and analyzes them. Every size runs in a process of its own; memory
is the largest of any one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from bench_store import DEFAULT, big_trace

from dpprof.analysis.report.analyze import analyze
from dpprof.runs.workers import map_forked
from dpprof.store.contents import look
from dpprof.store.place import any_place
from dpprof.tables.columns import (
    EVENTS,
    make_table,
)
from dpprof.trace.load import load_run
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.rank.tables import RankTables
from dpprof.trace.source.cache import ReadRequest, keep, pack_tables

STEP_COUNT, GROUP = 10, 8
KINDS = ("compute", "all_reduce", "dispatch", "memory")
SHARES = (0.85, 0.05, 0.05, 0.05)


def measure(folder: Path) -> None:
    """Load and analyze the run; print one line of figures."""
    start = time.perf_counter()
    run = load_run(folder)
    loaded = time.perf_counter() - start
    report = analyze(run)
    seconds = time.perf_counter() - start
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    used = sum(one.ru_utime + one.ru_stime for one in (own, children))
    ranks = len(report.ranks)
    print(
        f"{ranks:5d} ranks {run.held.count / 1e6:8.2f} M activities  load {loaded:7.1f} s  "
        f"report {seconds - loaded:7.1f} s  {used / ranks:6.2f} CPU s a rank  "
        f"parent {own.ru_maxrss / 1e6:5.2f} GB  largest child {children.ru_maxrss / 1e6:5.2f} GB"
    )


def apart(folder: Path) -> None:
    """`measure` in a process of its own."""
    subprocess.run([sys.executable, __file__, "measure", str(folder)], check=True)


def from_traces(sizes: list[int], base: Path) -> None:
    """Ranks of 200 MB each, read with an empty cache."""
    first = base / "first.json"
    size = big_trace(DEFAULT, first)
    print(f"{DEFAULT.name}, repeated to {size / 1e6:.0f} MB a rank")
    content = first.read_bytes()
    mark = b'"rank": 0'
    assert mark in content
    for ranks in sizes:
        folder = base / f"run{ranks}"
        folder.mkdir()
        for rank in range(ranks):
            file = folder / f"rank{rank}.json"
            file.write_bytes(content.replace(mark, b'"rank": %d' % rank, 1))
        os.environ["DPPROF_CACHE_DIR"] = str(base / f"cache{ranks}")
        apart(folder)
        for file in folder.iterdir():
            file.unlink()


def synthetic(ranks: int, events: int, base: Path) -> None:
    """Write ranks of made-up events to the cache and analyze them."""
    os.environ["DPPROF_CACHE_DIR"] = str(base / "cache")
    folder = base / "run"
    folder.mkdir()
    start = time.perf_counter()
    list(map_forked(partial(write_rank, folder, ranks, events), range(ranks)))
    print(f"wrote {ranks} ranks of {events} events in {time.perf_counter() - start:.0f} s")
    apart(folder)


def write_rank(folder: Path, ranks: int, events: int, rank: int) -> None:
    """Keep the tables of a rank for a trace that says nothing."""
    file = folder / f"rank{rank}.json"
    file.write_text(f'{{"traceEvents": [], "rank": {rank}}}')
    first = rank - rank % GROUP
    groups = {f"ep {rank // GROUP}": tuple(range(first, min(first + GROUP, ranks)))}
    table = made_up(rank, events)
    tables = RankTables(
        rank=rank,
        identity=TraceIdentity(rank, ranks, "captured", None, groups=groups),
        on_gpu=True,
        events=table,
        marked=tuple(range(STEP_COUNT)),
        no_wait=np.zeros(len(table), dtype=bool),
        counted=np.zeros(len(table), dtype=bool),
        explained=pd.DataFrame({"rule": ["made up"]}),
    )
    request = ReadRequest(file)
    assert keep(any_place(), request, pack_tables(request, [tables], look(file)))


def made_up(rank: int, events: int) -> pd.DataFrame:
    """Activities on two lanes; communications are the same, and about as late, on all ranks."""
    shared, own = np.random.default_rng(1), np.random.default_rng(rank + 2)
    kind = shared.choice(len(KINDS), events, p=SHARES)
    length = shared.integers(2_000, 40_000, events)
    start = np.cumsum(length * 3 // 4) + own.integers(0, 1_000, events) + 10**18
    step = np.arange(events) * STEP_COUNT // events
    communicates = (kind == 1) | (kind == 2)
    number = np.where(communicates, np.cumsum(communicates), -1)
    codes, names = shared.integers(0, 300, events), [f"kernel_{'x' * 60}_{i}" for i in range(300)]
    lanes = pd.Categorical.from_codes(communicates.astype(np.int8), ["stream 7", "stream 20"])
    groups = pd.Categorical.from_codes(communicates.astype(np.int8), ["", f"ep {rank // GROUP}"])
    return make_table(
        EVENTS,
        {
            "rank": rank,
            "lane": lanes,
            "start_ns": start,
            "end_ns": start + length,
            "kind": pd.Categorical.from_codes(kind, KINDS),
            "name": pd.Categorical.from_codes(codes, names),
            "step": step,
            "group": groups,
            "sequence": number,
            "correlation": np.arange(events),
            "launch_ns": start - 20_000,
        },
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["traces", "synthetic", "measure"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--ranks", default="")
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.folder)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as base:
        if given.what == "traces":
            sizes = [int(size) for size in (given.ranks or "1,4,16").split(",")]
            from_traces(sizes, Path(base))
        else:
            synthetic(int(given.ranks or 256), given.events, Path(base))


if __name__ == "__main__":
    main()
