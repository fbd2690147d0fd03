"""An ordinary pipeline of torch's on NCCL, a rank a GPU: `on_gpus.py SCHEDULE`, under torchrun."""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, schedules

WIDTH, MICRO_BATCHES, STEPS = 1024, 8, 6

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
device = torch.device("cuda", rank)
torch.cuda.set_device(device)
dist.init_process_group("nccl")
layer = nn.Linear(WIDTH, WIDTH, device=device)
example = torch.zeros(1, WIDTH, device=device)
stage = PipelineStage(layer, rank, world, device, input_args=example, output_args=example)
schedule = schedules.get_schedule_class(sys.argv[1])(
    stage, MICRO_BATCHES, loss_fn=nn.functional.mse_loss
)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
rows = torch.zeros(MICRO_BATCHES, WIDTH, device=device)
for _ in range(STEPS):
    given = (rows,) if rank == 0 else ()
    wanted = {"target": rows, "losses": []} if rank == world - 1 else {}
    schedule.step(*given, **wanted)
    optimizer.step()
    optimizer.zero_grad()
dist.destroy_process_group()
