"""One rank of real torch.distributed.pipelining runs on gloo, one trace per schedule."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, schedules
from torch.profiler import ProfilerActivity, profile, schedule

WORLD, MICRO_BATCHES, WIDTH = 2, 8, 16


def make(name: str, rank: int):
    kind = schedules.get_schedule_class(name)
    several = issubclass(kind, schedules.PipelineScheduleMulti)
    count = 2 * WORLD if several else WORLD
    on_a_v = name in ("ZBVZeroBubble", "DualPipeV")
    numbers = [rank, count - 1 - rank if on_a_v else rank + WORLD] if several else [rank]
    layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in numbers]
    device = torch.device("cpu")
    stages = [PipelineStage(one, i, count, device) for one, i in zip(layers, numbers, strict=True)]
    chosen = stages if several else stages[0]
    return kind(chosen, MICRO_BATCHES, loss_fn=nn.functional.mse_loss), numbers, count


def main(rank: int, folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    inputs, targets = torch.randn(MICRO_BATCHES, WIDTH), torch.randn(MICRO_BATCHES, WIDTH)
    for name in names:
        run, numbers, count = make(name, rank)
        given = (inputs,) if 0 in numbers else ()
        wanted = {"target": targets, "losses": []} if count - 1 in numbers else {}
        run.step(*given, **wanted)
        when = schedule(wait=0, warmup=1, active=1, repeat=1)
        with profile(
            activities=[ProfilerActivity.CPU], schedule=when, profile_memory=True
        ) as profiler:
            for _ in range(2):
                run.step(*given, **wanted)
                profiler.step()
        profiler.export_chrome_trace(str(folder / name / f"rank{rank}.json"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
