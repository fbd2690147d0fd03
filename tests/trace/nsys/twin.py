"""One made-up run written twice: as Kineto's JSON and as an export of Nsight Systems."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.trace.nsys.conftest import EPOCH_NS, Export

SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
WORLD = 0xA


class Twin:
    """Writes every row in both forms; has state because files are built row by row."""

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks
        self.exports = [Export() for _ in range(ranks)]
        self.rows: list[list[dict[str, Any]]] = [[] for _ in range(ranks)]
        for rank, export in enumerate(self.exports):
            export.communicator(21 + rank, WORLD, ranks=ranks, rank=rank)

    def _row(self, rank: int, category: str, name: str, span: tuple[int, int], **args: Any) -> None:
        device = "stream" in args
        row = {
            "ph": "X", "cat": category, "name": name, "ts": _us(EPOCH_NS + span[0]),
            "dur": _us(span[1] - span[0]), "pid": 0 if device else 21 + rank,
            "tid": args["stream"] if device else 21 + rank, "args": args,
        }  # fmt: skip
        self.rows[rank].append(row)

    def kernel(
        self, rank: int, name: str, span: tuple[int, int], launched: int, stream: int
    ) -> None:
        export = self.exports[rank]
        export.kernel(21 + rank, name, *span, launched=launched, stream=stream)
        self._row(rank, "kernel", name, span, stream=stream, device=0, correlation=export.count)
        self._row(
            rank, "cuda_runtime", "cudaLaunchKernel", (launched, launched + 1),
            correlation=export.count,
        )  # fmt: skip

    def range(self, rank: int, name: str, span: tuple[int, int]) -> None:
        self.exports[rank].range(21 + rank, name, *span)
        kineto = name.replace("iteration", "ProfilerStep#")
        self._row(rank, "user_annotation", kineto, span)

    def message(self, rank: int, way: str, peer: int, span: tuple[int, int]) -> None:
        call = {"send": "ncclSend", "recv": "ncclRecv"}[way]
        self.exports[rank].message(21 + rank, call, WORLD, peer, *span)
        other = {"send": "Dst Rank", "recv": "Src Rank"}[way]
        self._collective(rank, way, span, {other: peer})

    def all_reduce(self, rank: int, span: tuple[int, int]) -> None:
        self.exports[rank].collective(21 + rank, "ncclAllReduce", WORLD, *span)
        self._collective(rank, "allreduce", span, {})

    def _collective(
        self, rank: int, name: str, span: tuple[int, int], more: dict[str, int]
    ) -> None:
        words = {
            "Collective name": name, "Process Group Name": f"nccl:{WORLD:x}", "dtype": "Byte",
            "Process Group Ranks": str(list(range(self.ranks))), "In msg nelems": 4096,
            "Group size": self.ranks,
        }  # fmt: skip
        self._row(rank, "cpu_op", "record_param_comms", span, **words, **more)

    def wait(self, rank: int, recorded: tuple[int, int], waiting: tuple[int, int]) -> None:
        export = self.exports[rank]
        export.wait(21 + rank, recorded, waiting)
        event, call = export.count - 1, export.count
        for name, at, correlation in (
            ("cudaEventRecord", recorded[1], event), ("cudaStreamWaitEvent", waiting[1], call),
        ):  # fmt: skip
            self._row(rank, "cuda_runtime", name, (at, at + 1), correlation=correlation)
        self._row(
            rank, "cuda_sync", "Stream Wait Event", (waiting[1], waiting[1] + 1), stream=waiting[0],
            device=0, correlation=call, wait_on_stream=recorded[0],
            wait_on_cuda_event_record_corr_id=event,
        )  # fmt: skip

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The folders of the two runs: Kineto's and Nsight Systems'."""
        places = folder / "kineto", folder / "nsys"
        for place in places:
            place.mkdir()
        for rank, (rows, export) in enumerate(zip(self.rows, self.exports, strict=True)):
            whole = {
                "distributedInfo": {"rank": rank, "world_size": self.ranks},
                "traceEvents": [{**row, "ts": 0, "dur": 0} for row in rows],
            }
            text = json.dumps(whole)
            for row in rows:  # the digits as they are: no float could hold them
                text = text.replace(
                    '"ts": 0, "dur": 0', f'"ts": {row["ts"]}, "dur": {row["dur"]}', 1
                )
            (places[0] / f"rank{rank}.json").write_text(text)
            export.write(places[1] / f"rank{rank}.sqlite")
        return places


def _us(time_ns: int) -> str:
    return f"{time_ns // 1000}.{time_ns % 1000:03}"


def pipeline(seed: int, ranks: int = 3, micro_batches: Sequence[int] = range(3)) -> Twin:
    """Steps of a pipeline forward, with waits between its streams and an all-reduce at the end."""
    chance, twin = random.Random(seed), Twin(ranks)
    free = [[10_000] * ranks, [10_000] * ranks]  # of the streams 7 and 9, by rank
    host = [1_000] * ranks
    for step in range(2):
        begins = list(host)
        sent: dict[tuple[int, int], int] = {}
        for micro_batch in micro_batches:
            for rank in range(ranks):
                _forward(twin, chance, (rank, micro_batch), (free, host, sent))
        ready = max(*free[0], *free[1])
        for rank in range(ranks):
            at, start = host[rank], max(free[1][rank], free[0][rank]) + chance.randrange(500)
            twin.wait(rank, (7, at + 10), (9, at + 20))
            twin.all_reduce(rank, (at + 30, at + 90))
            end = ready + 3_000
            twin.kernel(rank, ALL_REDUCE, (start, end), at + 50, 9)
            free[0][rank] = free[1][rank] = end
            host[rank] = at + 100
            twin.range(rank, f"iteration{step + 4}", (begins[rank], host[rank]))
    return twin


def _forward(twin: Twin, chance: random.Random, what: tuple[int, int], state: Any) -> None:
    (rank, micro_batch), (free, host, sent) = what, state
    compute, talk = free
    begin = at = host[rank]
    ready = 0
    if rank:
        start = max(talk[rank], at + 40) + chance.randrange(300)
        arrives = max(start, sent[rank - 1, micro_batch]) + 700
        twin.message(rank, "recv", rank - 1, (at + 10, at + 60))
        twin.kernel(rank, SEND_RECV, (start, arrives), at + 30, 9)
        twin.wait(rank, (9, at + 62), (7, at + 64))
        talk[rank] = ready = arrives
    start = max(compute[rank], ready, at + 80) + chance.randrange(200)
    end = start + 4_000 + chance.randrange(4_000)
    twin.kernel(rank, "gemm", (start, end), at + 70, 7)
    compute[rank] = end
    if rank + 1 < twin.ranks:
        twin.wait(rank, (7, at + 82), (9, at + 84))
        twin.message(rank, "send", rank + 1, (at + 90, at + 130))
        start = max(end, talk[rank]) + chance.randrange(100)
        twin.kernel(rank, SEND_RECV, (start, start + 900), at + 100, 9)
        sent[rank, micro_batch] = start
        talk[rank] = start + 900
    host[rank] = at + 200
    twin.range(rank, f"PP:{rank}F{micro_batch}", (begin, host[rank]))
