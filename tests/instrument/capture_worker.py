"""One rank of a job that captures itself, and goes wrong in the way that is asked for."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

import dpprof


def join(folder: Path) -> None:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "store"), size), rank=rank, world_size=size
    )


def train(capture, steps: int = 2) -> None:
    for _ in range(steps):
        torch.ones(8).add_(1)
        capture.step()


def main(folder: Path, how: str) -> None:
    rank = int(os.environ.get("RANK", "0"))
    if how not in ("no init", "no rank"):
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
