"""Starts the ranks of a job from one process that has imported torch already: tests stay short."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch._inductor.config  # torch's profiler does, and takes a second
import torch.distributed as dist
from slow_wire import StoreWithSlowWire

WIRE = 1, 2
WIRE_S = 0.030


class Work(torch.autograd.Function):
    """An operator that takes a known time, forward and backward."""

    @staticmethod
    def forward(ctx, x, weight, forward_s, backward_s):
        ctx.save_for_backward(x, weight)
        ctx.seconds = backward_s
        time.sleep(forward_s)
        return x @ weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        time.sleep(ctx.seconds)
        return gradient @ weight.T, x.T @ gradient, None, None


def _rank_main(rank: int, world: int, file: str, main: Callable[[], None], slow: bool) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(file, world)
    if slow:
        store = StoreWithSlowWire(store, rank, WIRE, WIRE_S)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    torch.manual_seed(rank)
    main()
    dist.destroy_process_group()


def run_ranks(world: int, main: Callable[[], None], *, slow_wire: bool = False) -> None:
    """Run `main` on `world` ranks, and wait for them; all that rank 1 sends 2 may come late."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        fork = multiprocessing.get_context("fork")
        ranks = [
            fork.Process(target=_rank_main, args=(rank, world, store, main, slow_wire))
            for rank in range(world)
        ]
        for one in ranks:
            one.start()
        for one in ranks:
            one.join()
    if any(one.exitcode for one in ranks):
        sys.exit("a rank failed")
