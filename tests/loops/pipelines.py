"""An ordinary job with torch.distributed.pipelining: one schedule after the other, no profiler.

``pipelines.py STAGE_MS FAULT NAME...``; a fault is planted on rank 1, in micro-batch 3.
"""

from __future__ import annotations

import hashlib
import sys
import time
from functools import partial

import torch
import torch.distributed as dist
from ranks import Work, run_ranks
from torch import nn
from torch.distributed.pipelining import PipelineStage, schedules

WORLD, WIDTH, MICRO_BATCHES, STEPS = 4, 16, 8, 7
STAGE_S, FAULT = float(sys.argv[1]) / 1e3, sys.argv[2]


class Stage(nn.Module):
    """One stage; the straggler takes ten times as long, the gap is Python between operators."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH)
        self.rank, self.calls = rank, 0

    def forward(self, x):
        number = (self.calls - 1) % MICRO_BATCHES  # the first call is torch's own, for the shapes
        self.calls += 1
        planted = self.rank == 1 and number == 3
        if planted and FAULT == "gap":
            time.sleep(9 * STAGE_S)
        slow = 10 if planted and FAULT == "straggler" else 1
        return Work.apply(x, self.weight, slow * STAGE_S, 2 * STAGE_S)


def make(name: str, rank: int):
    kind = schedules.get_schedule_class(name)
    several = issubclass(kind, schedules.PipelineScheduleMulti)
    count = 2 * WORLD if several else WORLD
    on_a_v = name in ("ZBVZeroBubble", "DualPipeV")
    numbers = [rank, count - 1 - rank if on_a_v else rank + WORLD] if several else [rank]
    layers = [Stage(rank) for _ in numbers]
    device = torch.device("cpu")
    stages = [PipelineStage(one, i, count, device) for one, i in zip(layers, numbers, strict=True)]
    run = kind(stages if several else stages[0], MICRO_BATCHES, loss_fn=nn.functional.mse_loss)
    return run, layers, numbers, count


def train(name: str) -> None:
    rank = dist.get_rank()
    run, layers, numbers, count = make(name, rank)
    optimizer = torch.optim.SGD([one.weight for one in layers], lr=0.1)
    torch.manual_seed(7)
    inputs, targets = torch.randn(2, MICRO_BATCHES, WIDTH)
    given = (inputs,) if 0 in numbers else ()
    wanted = {"target": targets, "losses": []} if count - 1 in numbers else {}
    for _ in range(STEPS):
        run.step(*given, **wanted)
        optimizer.step()
        optimizer.zero_grad()
    weights = b"".join(one.weight.detach().numpy().tobytes() for one in layers)
    print(f"{name} {rank} {hashlib.sha256(weights).hexdigest()}\n", end="", flush=True)


if __name__ == "__main__":
    for one in sys.argv[3:]:
        run_ranks(WORLD, partial(train, one))
