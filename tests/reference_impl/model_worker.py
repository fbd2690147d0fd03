"""Real processes for `test_model_processes`: trains one step per schedule, saves the gradients.

    python model_worker.py FOLDER PP EP SIZES_JSON NAME:MICRO_BATCHES...

Ranks are forked after torch is imported, before it has run anything, and saved as
``FOLDER/<name>.<rank>.pt``: (step's loss or None, gradients by name).
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

from dpprof.schedules.components import component_program
from dpprof.schedules.registry import make_schedule
from reference_impl.channels import Channels, ProcessGroupWire
from reference_impl.config import ModelConfig
from reference_impl.lanes import make_lane
from reference_impl.mesh import Mesh, make_groups
from reference_impl.model_executor import ModelExecutor
from reference_impl.runtime import Runtime

CPU = torch.device("cpu")


def main(folder: str, pp: str, ep: str, sizes: str, *cases: str) -> int:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("fork")
    meshes = [Mesh(int(pp), int(ep), rank) for rank in range(int(pp) * int(ep))]
    config = ModelConfig.from_json(json.loads(sizes))
    ranks = [
        context.Process(target=run_rank, args=(Path(folder), mesh, config, cases), daemon=True)
        for mesh in meshes
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    return max(abs(rank.exitcode) for rank in ranks)


def run_rank(folder: Path, mesh: Mesh, config: ModelConfig, cases: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{folder / 'rendezvous'}"
    dist.init_process_group("gloo", rendezvous, rank=mesh.rank, world_size=mesh.pp * mesh.ep)
    for case in cases:
        name, micro_batches = case.split(":")
        result = run_schedule(name, int(micro_batches), mesh, config)
        torch.save(result, folder / f"{name}.{mesh.rank}.pt")
    dist.destroy_process_group()


def run_schedule(name: str, micro_batches: int, mesh: Mesh, config: ModelConfig):
    schedule = make_schedule(name, mesh.pp, micro_batches)
    groups = make_groups(mesh, schedule, "gloo")
    executor = ModelExecutor(config, schedule, mesh, groups, CPU)
    wire = ProcessGroupWire(executor.message, CPU, groups)
    channels = Channels(schedule, mesh, wire, partial(make_lane, CPU))
    program_of = partial(component_program, layers=executor.layers)
    runtime = Runtime(schedule, mesh, executor, channels, partial(make_lane, CPU), program_of)
    loss = runtime.run_step(0)
    runtime.close()
    return loss, executor.gradients()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
