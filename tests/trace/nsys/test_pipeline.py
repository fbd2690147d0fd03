"""A pipeline of four ranks in one export and in four: messages find their other ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run
from tests.trace.nsys.conftest import Export

MS = 1_000_000
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
WORLD, PIPELINES = 0xA, (0xB0, 0xB1)
"""Ranks 0 and 2 are one pipeline of two, 1 and 3 the other."""


def add_rank(export: Export, rank: int, *, tells: bool) -> None:
    """The first stage computes 10 ms and sends, the second receives at once and computes."""
    pid, stage = 21 + rank, rank // 2
    pipeline = PIPELINES[rank % 2]
    if tells:
        export.communicator(pid, WORLD, ranks=4, rank=rank)
        export.communicator(pid, pipeline, ranks=2, rank=stage)
    export.range(pid, "iteration7", 0, 40 * MS)
    export.collective(pid, "ncclAllReduce", WORLD, 30 * MS, 31 * MS)
    export.kernel(pid, "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 31 * MS, 33 * MS, 30 * MS + 9)
    call = "ncclRecv" if stage else "ncclSend"
    export.message(pid, call, pipeline, 1 - stage, 1 * MS, 2 * MS)
    if stage:
        export.kernel(pid, SEND_RECV, 2 * MS, 12 * MS, launched=2 * MS - 9, stream=9)
        export.kernel(pid, "gemm", 12 * MS, 22 * MS, launched=3 * MS)
    else:
        export.kernel(pid, "gemm", 1 * MS, 11 * MS, launched=MS - 9)
        export.kernel(pid, SEND_RECV, 11 * MS, 12 * MS, launched=2 * MS - 9, stream=9)


def one_file(folder: Path, *, tells: bool) -> Path:
    export = Export()
    for rank in range(4):
        add_rank(export, rank, tells=tells)
    return export.write(folder / "job.sqlite")


def four_files(folder: Path, *, tells: bool) -> Path:
    for rank in range(4):
        export = Export()
        add_rank(export, rank, tells=tells)
        export.write(folder / f"rank{rank}.sqlite")
    return folder


def messages(events: pd.DataFrame) -> Sequence[tuple[object, ...]]:
    """Rank, group, peer and when the other end was ready, of every message."""
    own = events[events["kind"] == "p2p"].sort_values("rank")
    first = int(events["start_ns"].min())
    return [
        (rank, str(group), peer, ready - first)
        for rank, group, peer, ready in zip(
            own["rank"], own["group"], own["peer"], own["ready_ns"], strict=True
        )
    ]


@pytest.mark.parametrize("write", [one_file, four_files])
@pytest.mark.parametrize("tells", [True, False])
def test_messages_find_their_other_ends(
    write: Callable[..., Path], tells: bool, tmp_path: Path
) -> None:
    run = load_run(write(tmp_path, tells=tells))
    assert messages(run.events) == [
        (0, "0>2", 2, 10 * MS),
        (1, "1>3", 3, 10 * MS),
        (2, "0>2", 0, 10 * MS),
        (3, "1>3", 1, 10 * MS),
    ]
    report = analyze(run)
    waits = [rank.by_kind["p2p"].wait_ns for rank in report.ranks]
    assert waits == [0, 0, 9 * MS, 9 * MS]
    assert [rank.by_kind["all_reduce"].wait_ns for rank in report.ranks] == [0, 0, 0, 0]
    assert [one.step for one in report.per_step] == [7]
    assert any("made before the recording" in word for word in run.warnings) != tells


def test_no_peer_is_claimed_where_a_message_has_one_end(tmp_path: Path) -> None:
    export = Export()
    for rank in range(4):
        add_rank(export, rank, tells=False)
    export.message(21, "ncclSend", PIPELINES[0], 1, 5 * MS, 6 * MS)
    export.kernel(21, SEND_RECV, 13 * MS, 14 * MS, launched=6 * MS - 9, stream=9)
    found = messages(load_run(export.write(tmp_path / "job.sqlite")).events)
    assert [peer for _, _, peer, _ in found] == [-1, -1, 3, -1, 1]


def test_a_batch_has_the_messages_of_its_calls(tmp_path: Path) -> None:
    export = Export()
    for rank, pid in enumerate((21, 22)):
        export.communicator(pid, WORLD, ranks=2, rank=rank)
        for call in ("ncclSend", "ncclRecv"):
            export.message(pid, call, WORLD, 1 - rank, 1 * MS, 1 * MS + 10)
        begin = (2 + rank) * MS
        export.kernel(pid, SEND_RECV, begin, 5 * MS, launched=1 * MS + 20, stream=9)
    run = load_run(export.write(tmp_path / "job.sqlite"))
    assert run.events["group"].astype(str).tolist() == ["0>1 1>0", "1>0 0>1"]
    assert analyze(run).ranks[0].by_kind["p2p"].wait_ns == 1 * MS
