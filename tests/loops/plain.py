"""An ordinary data-parallel job in whatever world its environment says: `plain.py [spawn]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

STEPS, WIDTH = 7, 16


def main(rank: int, size: int, method: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=method, rank=rank, world_size=size)
    model = DistributedDataParallel(torch.nn.Linear(WIDTH, WIDTH))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        model(torch.ones(4, WIDTH)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    dist.destroy_process_group()


if __name__ == "__main__":
    if "spawn" in sys.argv:
        torch.multiprocessing.spawn(main, args=(2, f"file://{Path.cwd()}/store"), nprocs=2)
    elif "SLURM_PROCID" in os.environ:
        place = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
        main(*place, f"file://{Path.cwd()}/store")
    else:
        main(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "env://")
