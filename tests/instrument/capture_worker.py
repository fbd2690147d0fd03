"""Ranks of jobs that capture themselves, and go wrong in the way that is asked for.

``capture_worker.py FOLDER``: one job after the other, each in a folder of its own, forked from one
process that has imported torch. Exit codes go to ``codes.json`` there, what rank r says to
``said<r>``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import torch
import torch._inductor.config  # torch's profiler does, and takes a second
import torch.distributed as dist

import dpprof

SIZE = 2
JOBS = (
    "destroyed",
    "no init",
    "one raises",
    "rank 0 alone",
    "too few",
    "terminated",
    "no rank",
    "started again",
)


def join(folder: Path) -> None:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "store"), size), rank=rank, world_size=size
    )


def train(capture, steps: int = 2) -> None:
    for _ in range(steps):
        torch.ones(8).add_(1)
        capture.step()


def work(folder: Path, how: str) -> None:
    rank = int(os.environ.get("RANK", "0"))
    if how not in ("no init", "no rank", "started again"):
        join(folder)
    if how == "rank 0 alone" and rank:
        return
    with dpprof.capture(folder / "run", warmup=1, steps=1) as capture:
        if how == "destroyed":
            dist.destroy_process_group()
        if how == "too few" and rank:
            return
        train(capture)
        if how == "one raises" and rank:
            raise RuntimeError("the job's own")
        if how == "terminated":
            os.kill(os.getpid(), signal.SIGTERM)


def rank_main(folder: Path, how: str, rank: int, restart: int) -> None:
    said = os.open(folder / f"said{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 2)
    for name in ("RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    if how != "no rank":
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(SIZE)}
    if how == "started again":
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(restart)
    work(folder, how)


def job(folder: Path, how: str, restart: int = 0) -> list[int | None]:
    """Exit code of every rank."""
    fork = multiprocessing.get_context("fork")
    ranks = [
        fork.Process(target=rank_main, args=(folder, how, rank, restart)) for rank in range(SIZE)
    ]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join()
    return [one.exitcode for one in ranks]


def main(folder: Path) -> None:
    for how in JOBS:
        own = folder / how
        own.mkdir()
        codes = [job(own, how, restart) for restart in range(1 + (how == "started again"))]
        (own / "codes.json").write_text(json.dumps(codes[-1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
