"""Many ranks: read in parallel, on a cluster, and analyzed one at a time, with the same result."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import (
    EVENTS,
    make_table,
)
from dpprof.trace.load import load_run
from dpprof.trace.match.align_clocks import align_parts, tightest_bounds
from dpprof.trace.match.clock_evidence import clock_bounds
from dpprof.trace.match.join_ranks import find_peers, join_events
from dpprof.trace.match.operations import match_operations
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.rank.rank_part import RankPart, make_part
from dpprof.trace.rank.tables import RankTables
from dpprof.trace.source import processes
from dpprof.trace.source.cache import ReadRequest, pack
from dpprof.trace.source.processes import available_bytes, need_bytes
from dpprof.trace.source.read_ranks import Reading

GROUP = 8


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpprof.trace.source.read_ranks._WORTH_A_PROCESS_BYTES", 0)
    monkeypatch.setattr("dpprof.trace.source.read_ranks.usable_cores", lambda: 2)
    # Threads that other tests have left behind are idle.
    monkeypatch.setattr("dpprof.trace.source.read_ranks.may_fork", lambda: True)


@pytest.mark.parametrize("cached", [True, False])
def test_processes_and_progress(
    tmp_path, cache, make_run, without_cache, assert_same, parallel, monkeypatch, cached
) -> None:
    folder = make_run(tmp_path / "run", 5)
    plain = without_cache(lambda: load_run(folder, reading=Reading(processes=1)))
    if not cached:
        monkeypatch.setenv("DPPROF_CACHE", "off")
    monkeypatch.setattr("dpprof.trace.source.read_ranks._HELD_EVENTS", 0)
    monkeypatch.setattr("dpprof.analysis.accounting.account.WORTH_PROCESSES", 0)
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        run = load_run(folder, reading=Reading(progress=lambda *one: seen.append(one)))
        assert_same(run, plain)
    assert seen == [(number, 5) for number in range(1, 6)] * 2


def test_an_error_of_one_rank_is_told_as_ever(tmp_path, cache, make_run, parallel) -> None:
    folder = make_run(tmp_path / "run", 3)
    (folder / "rank1.json").write_text("no trace")
    with pytest.raises(DpprofError, match=r"rank1\.json"):
        load_run(folder)


def _killing(times: int, marks: Path) -> Any:
    def read(request: ReadRequest) -> Any:
        if request.file.name == "rank1.json" and len(list(marks.iterdir())) < times:
            (marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return pack(request)

    return read


def test_what_a_killed_process_was_reading_is_read_again(
    tmp_path, cache, make_run, without_cache, assert_same, parallel, monkeypatch
) -> None:
    (tmp_path / "marks").mkdir()
    folder = make_run(tmp_path / "run", 4)
    plain = without_cache(lambda: load_run(folder, reading=Reading(processes=1)))
    monkeypatch.setattr(processes, "pack", _killing(1, tmp_path / "marks"))
    assert_same(load_run(folder), plain)


def test_a_rank_whose_readers_are_killed_is_named(
    tmp_path, cache, make_run, parallel, monkeypatch
) -> None:
    (tmp_path / "marks").mkdir()
    monkeypatch.setattr(processes, "pack", _killing(9, tmp_path / "marks"))
    with pytest.raises(DpprofError, match=r"rank1\.json: the process that read it was killed"):
        load_run(make_run(tmp_path / "run", 4))


def test_no_more_is_read_at_once_than_memory_allows(monkeypatch, tmp_path) -> None:
    """Needs of 5, 4, 3, 2 and 1 in a memory of 6: the biggest first, and whatever fits beside."""
    running: list[int] = []
    most: list[list[int]] = []

    class Pool:
        def __init__(self, *_: Any) -> None: ...

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, _: Any, __: Any, request: ReadRequest) -> Future[Any]:
            running.append(int(request.file.name))
            most.append(sorted(running))
            return Future()

    def first_done(futures: Any, **_: Any) -> Any:
        future = next(iter(futures))
        future.set_result(None)
        del running[0]
        return type("Done", (), {"done": {future}})

    monkeypatch.setattr(processes, "forked_pool", Pool)
    monkeypatch.setattr(processes, "wait", first_done)
    monkeypatch.setattr(processes, "need_bytes", lambda file: int(file.name))
    monkeypatch.setattr(processes, "available_bytes", lambda: 6)
    requests = {number: ReadRequest(Path(str(number))) for number in range(1, 6)}
    read = [number for number, _ in processes.read_in_processes(None, requests, 3)]
    assert sorted(read) == [1, 2, 3, 4, 5]
    assert most == [[5], [4], [3], [2, 3], [1, 2, 3]]


def test_needs_grow_with_what_is_inside(tmp_path) -> None:
    import gzip

    plain, packed = tmp_path / "a.json", tmp_path / "a.json.gz"
    plain.write_bytes(b"x" * 1_000_000)
    packed.write_bytes(gzip.compress(b"x" * 1_000_000))
    assert need_bytes(plain) == need_bytes(packed) > need_bytes(tmp_path / "none")
    assert available_bytes() > 0


def tiny_parts(ranks: int) -> list[RankPart]:
    """A computation, a collective in a group of 8, and a copy on every rank."""
    begin = np.repeat(np.random.default_rng(7).integers(0, 50, ranks), 3)
    start = begin + np.tile([0, 90, 300], ranks)
    rank = np.repeat(np.arange(ranks), 3)
    kind = np.tile(["compute", "all_reduce", "memory"], ranks)
    collective = kind == "all_reduce"
    group = [f"dp {one // GROUP}" if of else "" for one, of in zip(rank, collective, strict=True)]
    columns = {"rank": rank, "step": 0, "kind": kind, "start_ns": start, "end_ns": start + 100}
    sequence = np.where(collective, 0, -1)
    events = make_table(EVENTS, {**columns, "name": kind, "group": group, "sequence": sequence})
    return [
        tiny_part(number, ranks, events[3 * number : 3 * number + 3]) for number in range(ranks)
    ]


def tiny_part(rank: int, ranks: int, events: pd.DataFrame) -> RankPart:
    first = rank - rank % GROUP
    groups = {f"dp {rank // GROUP}": tuple(range(first, first + GROUP))}
    return make_part(
        RankTables(
            rank=rank,
            identity=TraceIdentity(rank, ranks, "captured", None, groups=groups),
            on_gpu=True,
            events=events.reset_index(drop=True),
            no_wait=np.zeros(len(events), dtype=bool),
            counted=np.zeros(len(events), dtype=bool),
            explained=events.iloc[:0],
        ),
        Path(f"rank{rank}.json"),
    )


@pytest.mark.parametrize("ranks", [16, 64])
def test_ranks_one_at_a_time_are_as_all_at_once(ranks: int) -> None:
    parts = tiny_parts(ranks)
    peers, missing = find_peers(parts, None)
    held = join_events(align_parts(parts, peers), peers).events
    places = tuple(RankPlace(rank=rank, pp_rank=rank) for rank in range(ranks))
    fields = {"name": "many", "source": "captured", "places": places}
    whole = held.whole()
    assert (missing, len(whole)) == ((), 3 * ranks)
    ready = whole.loc[whole["kind"] == "all_reduce", ["start_ns", "ready_ns"]].to_numpy()
    latest = ready[:, 0].reshape(-1, GROUP).max(axis=1)
    assert ready[:, 1].tolist() == np.repeat(latest, GROUP).tolist()
    assert analyze(Run(held=held, **fields)) == analyze(Run(events=whole, **fields))


def test_of_many_bounds_on_clocks_the_tightest_are_taken_in_pieces(monkeypatch) -> None:
    parts = tiny_parts(32)
    peers, _ = find_peers(parts, None)
    events = pd.concat([part.communications for part in parts], ignore_index=True)
    events = pd.concat(
        [
            events.assign(
                sequence=n, start_ns=events["start_ns"] + 200 * n, end_ns=events["end_ns"] + 200 * n
            )
            for n in range(9)
        ],
        ignore_index=True,
    )
    matched = match_operations(events, peers)
    assert len(matched.rows) == 9 * 32
    window = (0, 2000)
    every = pd.DataFrame(clock_bounds(events, matched)._asdict())
    for most in (1, 20, 1000):
        some = pd.DataFrame(tightest_bounds(events, matched, window, most)._asdict())
        columns = list(every)
        left, right = (one.sort_values(columns, ignore_index=True) for one in (every, some))
        pd.testing.assert_frame_equal(left, right)
    monkeypatch.setattr("dpprof.trace.match.align_clocks._MOMENTS", 1)
    some = pd.DataFrame(tightest_bounds(events, matched, window, 20)._asdict())
    pair = ["waiter", "source"]
    pd.testing.assert_series_equal(
        some.set_index(pair)["most_ns"].sort_index(),
        every.groupby(pair)["most_ns"].min().sort_index(),
    )


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same(
    tmp_path, cache, make_run, without_cache, assert_same
) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    folder = make_run(tmp_path / "run", 8)
    plain = without_cache(lambda: load_run(folder, reading=Reading(processes=1)))
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    )
    killed: list[int] = []

    def kill_one(done: int, _: int) -> None:
        if not killed:
            worker = next(iter(cluster.workers.values()))
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)

    with cluster:
        reading = Reading(scheduler=cluster.scheduler_address, progress=kill_one)
        run = load_run(folder, reading=reading)
    assert len(killed) == 1
    assert_same(run, plain)
    assert_same(load_run(folder), plain)  # now from the cache


def test_no_cluster_is_said(tmp_path, cache, make_run, monkeypatch) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("dpprof.trace.source.dask_cluster._CONNECT_SECONDS", 0.2)
    folder = make_run(tmp_path / "run")
    with pytest.raises(DpprofError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler answers there"):
        load_run(folder, reading=Reading(scheduler="tcp://127.0.0.1:9"))


def test_ranks_that_did_nothing(tmp_path, cache, make_run) -> None:
    folder = make_run(tmp_path / "run")
    step = {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#0", "pid": 1, "tid": 1}
    for file in folder.iterdir():
        file.write_text(json.dumps({"traceEvents": [{**step, "ts": 0, "dur": 9}]}))
    run = load_run(folder)
    assert (run.held.count, len(run.events), run.used_steps) == (0, 0, (0,))


@pytest.mark.slow
def test_a_cluster_without_workers_is_said(tmp_path, cache, make_run, monkeypatch) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    monkeypatch.setattr("dpprof.trace.source.dask_cluster._NO_WORKERS_SECONDS", 2)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=False) as cluster:
        reading = Reading(scheduler=cluster.scheduler_address)
        with pytest.raises(DpprofError, match="has had no workers for 2 s; start some"):
            load_run(make_run(tmp_path / "run"), reading=reading)
