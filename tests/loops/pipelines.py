"""Ordinary pipelines of torch.distributed.pipelining, no profiler; a fault is on rank 1, F0.3."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from ranks import Work
from torch import nn
from torch.distributed.pipelining import PipelineStage, schedules

WORLD, WIDTH, STEPS = 4, 16, 6
STAGE_S = 0.006


class Stage(nn.Module):
    """One stage; the straggler takes ten times as long, the gap is Python between operators."""

    def __init__(self, fault: str, micro_batches: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH)
        self.fault = fault if dist.get_rank() == 1 else ""
        self.micro_batches, self.calls = micro_batches, 0

    def forward(self, x):
        number = (self.calls - 1) % self.micro_batches  # torch's own call is first, for the shapes
        self.calls += 1
        fault = self.fault if number == 3 else ""
        if fault == "gap":
            time.sleep(9 * STAGE_S)
        slow = 10 if fault == "straggler" else 1
        return Work.apply(x, self.weight, slow * STAGE_S, 2 * STAGE_S)


def make(name: str, fault: str, micro_batches: int):
    rank = dist.get_rank()
    kind = schedules.get_schedule_class(name)
    several = issubclass(kind, schedules.PipelineScheduleMulti)
    count = 2 * WORLD if several else WORLD
    on_a_v = name in ("ZBVZeroBubble", "DualPipeV")
    numbers = [rank, count - 1 - rank if on_a_v else rank + WORLD] if several else [rank]
    layers = [Stage(fault, micro_batches) for _ in numbers]
    device = torch.device("cpu")
    stages = [PipelineStage(one, i, count, device) for one, i in zip(layers, numbers, strict=True)]
    run = kind(stages if several else stages[0], micro_batches, loss_fn=nn.functional.mse_loss)
    return run, layers, numbers, count


def torchtitan(name: str, accumulate: int) -> None:
    """The pipeline in torchtitan's trainer, several times a step."""
    sys.path.insert(0, str(Path(__file__).with_name("stand_ins")))
    from torchtitan.trainer import Trainer

    run, layers, numbers, count = make(name, "straggler", WORLD)
    optimizers = [torch.optim.SGD([one.weight], lr=0.1) for one in layers]
    inputs, targets = torch.randn(2, WORLD, WIDTH)
    given = (inputs,) if 0 in numbers else ()
    wanted = {"target": targets, "losses": []} if count - 1 in numbers else {}
    Trainer(run, optimizers, given, wanted, accumulate).train(STEPS)


def train(name: str, fault: str = "straggler") -> None:
    micro_batches = 2 * WORLD if name == "DualPipeV" else WORLD
    run, layers, numbers, count = make(name, fault, micro_batches)
    optimizer = torch.optim.SGD([one.weight for one in layers], lr=0.1)
    torch.manual_seed(7)
    inputs, targets = torch.randn(2, micro_batches, WIDTH)
    given = (inputs,) if 0 in numbers else ()
    wanted = {"target": targets, "losses": []} if count - 1 in numbers else {}
    for _ in range(STEPS):
        run.step(*given, **wanted)
        optimizer.step()
        optimizer.zero_grad()
    weights = b"".join(one.weight.detach().numpy().tobytes() for one in layers)
    print(
        f"{name} {fault} {dist.get_rank()} {hashlib.sha256(weights).hexdigest()}\n",
        end="",
        flush=True,
    )
