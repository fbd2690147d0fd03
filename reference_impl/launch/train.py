"""One rank's part of a job: set up, run instrumented training steps, write the trace.

Read it top to bottom: it is the whole life of a training process.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
import torch.distributed as dist

import dpprof
from dpprof.costs.faults import read_fault, with_faults
from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import is_uniform, stage_layers, stage_memory
from dpprof.instrument import start_memory_history
from dpprof.reference.executors.emulated import EmulatedExecutor
from dpprof.reference.job import Job
from dpprof.reference.runtime.channels import LOOKAHEAD, Channels, ProcessGroupWire, Wire
from dpprof.reference.runtime.cuda_process import (
    collective_timeout,
    fall_behind,
    keep_spare_blocks,
    prepare_cuda,
)
from dpprof.reference.runtime.executor import Executor, OwnProgram
from dpprof.reference.runtime.host_staging import StagedWire, make_staged_lane
from dpprof.reference.runtime.lanes import make_lane
from dpprof.reference.runtime.mesh import Groups, Mesh, make_groups
from dpprof.reference.runtime.operating_system import (
    name_thread,
    pin_to_core,
    sharpen_sleep,
    wake_first,
)
from dpprof.reference.runtime.runtime import Runtime
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import Slot
from dpprof.schedules.components import slot_program
from dpprof.schedules.form import schedule_from_json
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.run import place_memory


class Workshop(NamedTuple):
    """What a device brings: the executor, the wire, the programs, and what it says of itself."""

    executor: Executor
    wire: Wire
    program_of: Callable[[Slot], OwnProgram]
    place: RankPlace
    manifest: dict[str, Any]
    lookahead: int = LOOKAHEAD


def train(job: Job, rank: int, rendezvous: str, report: Callable[[int], None]) -> None:
    """Run `job` as `rank` of a world of its own; `report` is told the number of finished steps."""
    device = prepare_process(job, rank)
    join_world(job, device, rendezvous, rank)
    try:
        train_in_world(job, rank, device, report)
    finally:
        dist.destroy_process_group()


def join_world(job: Job, device: torch.device, rendezvous: str, rank: int) -> None:
    """Initialise torch.distributed: NCCL on GPUs, gloo on CPUs and where ranks share a GPU."""
    backend = "nccl" if device.type == "cuda" and not job.share_gpus else "gloo"
    size, timeout = job.world_size, collective_timeout()
    dist.init_process_group(backend, rendezvous, rank=rank, world_size=size, timeout=timeout)


def train_in_world(
    job: Job, rank: int, device: torch.device, report: Callable[[int], None]
) -> None:
    """Run `job` as `rank` of the world that this process has joined."""
    schedule = schedule_from_json(job.schedule)
    mesh = Mesh(job.pp, job.ep, rank, job.dp)
    groups = _groups(job, mesh, schedule)
    build = _emulated_workshop if job.device == "emulated" else _model_workshop
    workshop = build(job, schedule, mesh, groups, device)
    lane = partial(make_staged_lane if job.share_gpus else make_lane, device)
    channels = Channels(schedule, mesh, workshop.wire, lane, workshop.lookahead)
    if isinstance(workshop.executor, EmulatedExecutor):
        workshop.executor.channels = channels
    runtime = Runtime(schedule, mesh, workshop.executor, channels, lane, workshop.program_of)
    _run_steps(job, workshop, runtime, device, report)
    runtime.close()
    dist.barrier()  # nobody goes on while another still writes


def _groups(job: Job, mesh: Mesh, schedule: Schedule) -> Groups:
    sizes = job.sizes
    loop = sizes.get("looped_ep", 1) > 1 and not job.share_gpus
    return make_groups(mesh, schedule, dist.get_backend(), sizes.get("communication_sms"), loop)


def prepare_process(job: Job, rank: int) -> torch.device:
    """Seed and tune this process for the job's device; gives the device."""
    torch.manual_seed(job.seed)
    if job.device == "cuda":
        prepare_cuda()
        index = int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
        torch.cuda.set_device(index)
        if job.memory_history:
            start_memory_history()
        return torch.device("cuda", index)
    # Ranks share the cores: threads within an operator would only fight each other.
    torch.set_num_threads(1)
    pin_to_core(rank)
    sharpen_sleep()
    if job.device == "emulated":
        wake_first(1)
    name_thread("compute")
    return torch.device("cpu")


def _run_steps(
    job: Job,
    workshop: Workshop,
    runtime: Runtime,
    device: torch.device,
    report: Callable[[int], None],
) -> None:
    place = workshop.place
    static = (place.parameter_bytes, place.gradient_bytes, place.optimizer_bytes)
    emulated = job.device == "emulated"
    with dpprof.capture(
        Path(job.folder),
        warmup=job.warmup,
        steps=job.steps,
        place=place,
        source="emulated" if emulated else "captured",
        device="cpu" if emulated else job.device,
        allocated_before_bytes=sum(part or 0 for part in static),
        memory_history=job.memory_history,
        lead_in=False,  # barriers have all ranks begin a step together
        adapters=False,  # everything is labelled here already
        manifest=workshop.manifest,
    ) as capture:
        if emulated:
            wake_first(2)  # before its own lanes: when they lag, no compute is delayed
            sys.setswitchinterval(1e-4)
        gc.collect()
        gc.disable()  # a collection in the middle of a step would look like a slow rank
        for step in range(job.warmup + job.steps):
            dist.barrier()
            settles = job.device == "cuda" and step == job.warmup - 1
            if settles:
                fall_behind()
            loss = runtime.run_step(step)
            if job.device == "cuda":
                torch.cuda.synchronize()
            if settles:
                keep_spare_blocks(device)
            dist.barrier()  # no rank writes its trace while another is still in the step
            capture.step(loss)
            report(step + 1)
        gc.enable()
        if job.device == "cuda":
            capture.set_place(max_allocated_bytes=torch.cuda.max_memory_allocated())
        if job.memory_history:
            capture.set_place(memory_snapshot=f"rank{place.rank}.pickle")
        capture.manifest_fields["ranks"] = _share_places(capture.place)
        capture.manifest_fields["losses"] = _share_losses(capture.losses)
        capture.manifest_fields["expert_load"] = _share_load(workshop.executor)


def _share_places(place: RankPlace) -> list[RankPlace]:
    """The places of all ranks, in order."""
    everyone = [place] * dist.get_world_size()
    dist.all_gather_object(everyone, place)
    return sorted(everyone, key=lambda one: one.rank)


def _share_losses(losses: list[float]) -> list[float]:
    """Losses as the lowest rank that knows them has them."""
    everyone: list[list[float]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(everyone, losses)
    return next((known for known in everyone if known), [])


def _share_load(executor: Executor) -> list[list[int]]:
    """Rows that each expert of each layer got; nothing from a device that routes none."""
    own = executor.expert_load()
    everyone: list[dict[int, list[int]]] = [{}] * dist.get_world_size()
    dist.all_gather_object(everyone, own)
    layers = {layer: load for each in everyone for layer, load in each.items()}
    return [layers[layer] for layer in sorted(layers)]


def _common_manifest(job: Job) -> dict[str, Any]:
    return {
        "schedule": job.schedule,
        "micro_batches": job.schedule["micro_batches"],
        "mesh": {"pp": job.pp, "ep": job.ep, "dp": job.dp},
        "seed": job.seed,
    }


def _emulated_workshop(
    job: Job, schedule: Schedule, mesh: Mesh, groups: Groups, _: torch.device
) -> Workshop:
    costs = msgspec.convert(job.costs, CostProfile)
    faults = [read_fault(text, job.pp) for text in job.faults]
    own_costs = with_faults(costs, faults, mesh.pp_rank)
    layers = job.layers if is_uniform(costs) else None
    executor = EmulatedExecutor(own_costs, layers, schedule, mesh, groups)
    stages = stage_memory(costs, schedule.placement.stage_count, layers)
    place = RankPlace(
        rank=mesh.rank,
        pp_rank=mesh.pp_rank,
        ep_rank=mesh.ep_rank,
        dp_rank=mesh.dp_rank,
        **place_memory(schedule, mesh.pp_rank, stages),
    )
    tokens = costs.tokens_per_micro_batch
    manifest = _common_manifest(job) | {
        "costs": job.costs,
        "sizes": {"layers_per_stage": job.layers}
        if layers
        else {"stage_layers": list(stage_layers(costs, len(stages)))},
        "tokens_per_step": tokens and tokens * schedule.micro_batches * mesh.data_size,
        "notes": [
            "emulated: the time of every component and message is modelled, not measured",
            *(f"injected fault: {text}" for text in job.faults),
        ],
    }
    wire, lookahead = executor.wire, executor.lookahead
    return Workshop(executor, wire, executor.program_of, place, manifest, lookahead)


def _model_workshop(
    job: Job, schedule: Schedule, mesh: Mesh, groups: Groups, device: torch.device
) -> Workshop:
    from dpprof.reference.executors.model import make_model_executor

    executor, place, manifest = make_model_executor(job, schedule, mesh, groups, device)
    if job.share_gpus:
        wire: Wire = StagedWire(executor.message, device)
        note = "pipeline ranks share a GPU: their kernels take turns, messages go through the host"
        manifest["notes"] = [*manifest.get("notes", ()), note]
    else:
        wire = ProcessGroupWire(executor.message, device, groups)
    return Workshop(
        executor,
        wire,
        lambda slot: slot_program(slot, job.layers),
        place,
        _common_manifest(job) | manifest,
    )
