"""An ordinary DeepSpeed pipeline on CPUs: `deepspeed_pipe.py FAULT`, planted on rank 1."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("DS_ACCELERATOR", "cpu")
sys.path.insert(0, str(Path(__file__).parents[1]))

import deepspeed
import deepspeed.comm.torch
import torch
from deepspeed.pipe import LayerSpec, PipelineModule
from ranks import Work
from torch import nn

WIDTH, MICRO_BATCHES, STEPS, STAGE_S = 16, 8, 7, 0.010
FAULT = sys.argv[1]

# DeepSpeed would compile an extension for shared memory first.
sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None
deepspeed.init_distributed("gloo")
torch.set_num_threads(1)
RANK, WORLD = torch.distributed.get_rank(), torch.distributed.get_world_size()


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH)
        self.calls = 0

    def forward(self, x):
        planted = RANK == 1 and self.calls % MICRO_BATCHES == 3
        self.calls += 1
        if planted and FAULT == "gap":
            time.sleep(9 * STAGE_S)
        slow = 10 if planted and FAULT == "straggler" else 1
        return Work.apply(x, self.weight, slow * STAGE_S, 2 * STAGE_S)


net = PipelineModule(
    layers=[LayerSpec(Stage) for _ in range(WORLD)],
    num_stages=WORLD,
    loss_fn=nn.functional.mse_loss,
    partition_method="uniform",
)
engine, *_ = deepspeed.initialize(
    model=net,
    model_parameters=list(net.parameters()),
    config={
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": MICRO_BATCHES,
        "optimizer": {"type": "SGD", "params": {"lr": 0.01}},
        "zero_allow_untested_optimizer": True,
    },
)
batches = iter(lambda: (torch.ones(1, WIDTH), torch.zeros(1, WIDTH)), None)
for _ in range(STEPS):
    engine.train_batch(data_iter=batches)
