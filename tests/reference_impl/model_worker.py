"""Real processes for the tests: every rank runs every case, and saves what it has.

    python model_worker.py FOLDER WORLD_SIZE CASES_JSON

A case is ``{"label", "schedule", "micro_batches", "pp", "dp", "ep", "sizes", "steps"}``. Ranks are
forked after torch is imported, before it has run anything, and saved as
``FOLDER/<label>.<rank>.pt``: (losses, gradients of the last step, parameters after it), the latter
two by name.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.runtime.channels import Channels, ProcessGroupWire
from dpprof.reference.runtime.lanes import make_lane
from dpprof.reference.runtime.mesh import Mesh, make_groups
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.components import slot_program
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")


def main(folder: str, world_size: str, cases: str) -> int:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("fork")
    arguments = (Path(folder), int(world_size), json.loads(cases))
    ranks = [
        context.Process(target=run_rank, args=(rank, *arguments), daemon=True)
        for rank in range(int(world_size))
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    return max(abs(rank.exitcode) for rank in ranks)


def run_rank(rank: int, folder: Path, world_size: int, cases: list[dict]) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{folder / 'rendezvous'}"
    dist.init_process_group("gloo", rendezvous, rank=rank, world_size=world_size)
    for case in cases:
        torch.save(run_case(rank, case), folder / f"{case['label']}.{rank}.pt")
    dist.destroy_process_group()


def run_case(rank: int, case: dict):
    mesh = Mesh(case["pp"], case["ep"], rank, case["dp"])
    schedule = make_schedule(case["schedule"], mesh.pp, case["micro_batches"])
    groups = make_groups(mesh, schedule, "gloo")
    config = ModelConfig.from_json(case["sizes"])
    executor = ModelExecutor(config, schedule, mesh, groups, CPU)
    lane = partial(make_lane, CPU)
    wire = ProcessGroupWire(executor.message, CPU, groups)
    channels = Channels(schedule, mesh, wire, lane)
    program_of = partial(slot_program, layers=executor.layers)
    runtime = Runtime(schedule, mesh, executor, channels, lane, program_of)
    losses = [runtime.run_step(step) for step in range(case["steps"])]
    runtime.close()
    parameters = {name: value.detach() for name, value in executor.parameters().items()}
    return losses, executor.gradients(), parameters


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
