"""An ordinary data-parallel job, DDP or FSDP2: rank 1 is slower by 30 ms a step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from ranks import Work
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

WORLD, WIDTH, STEPS = 2, 16, 5


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH)

    def forward(self, x):
        return Work.apply(x, self.weight, 0.020 if dist.get_rank() == 1 else 0.010, 0.010)


def train(how: str) -> None:
    model = nn.Sequential(Layer(), Layer(), Layer())
    if how == "ddp":
        model = DistributedDataParallel(model)
    else:
        mesh = dist.init_device_mesh("cpu", (WORLD,))
        for layer in model:
            fully_shard(layer, mesh=mesh)
        model = fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        model(torch.ones(4, WIDTH)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
