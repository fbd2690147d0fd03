"""Turns the options of ``dpprof profile`` into jobs, and checks them before anything runs."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dpprof.commands._experts import placement_for
from dpprof.commands._schedule import find_schedule
from dpprof.costs.faults import read_fault
from dpprof.costs.load import load_costs
from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import is_uniform, model_layers, stage_layers
from dpprof.errors import DpprofError
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.schedule import Schedule

if TYPE_CHECKING:
    from dpprof.reference.job import Job


_RANKS = "dualpipe,1f1b"
_ONE_RANK = "dualpipev,1f1b"
"""DualPipe needs two ranks; on one, DualPipeV is its overlapped pairs and nothing else."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """The command line's options, as given."""

    schedule: str | None
    pp: int | None
    ep: int
    dp: int
    micro_batches: int | None
    device: str
    costs: str
    model: str
    layers: int | None
    sizes: tuple[str, ...]
    expert_load: Path | None
    redundant_experts: int
    share_gpus: bool
    memory_history: bool
    steps: int
    warmup: int
    seed: int
    inject: tuple[str, ...]
    output: Path
    force: bool


def make_jobs(request: JobRequest) -> list[Job]:
    """Every job of the request, checked before the first one starts."""
    if importlib.util.find_spec("torch") is None:
        raise DpprofError("profiling needs torch: pip install 'dpprof[profile]'")
    from dpprof.reference.job import Job, resolve_device

    pp = request.pp or _default_pp(request.ep * request.dp)
    schedules = _schedules(request, pp)
    world_size = pp * request.dp * request.ep
    _check_world(world_size)
    device = resolve_device(request.device, world_size, request.share_gpus)
    _check_gpu_options(request, device)
    stages = [schedule.placement.stage_count for schedule in schedules]
    costs, sizes, layers = _model_of(request, device, stages)
    _check_faults(request, device, pp)
    return [
        Job(
            schedule=schedule_to_json(schedule),
            pp=pp,
            ep=request.ep,
            dp=request.dp,
            device=device,
            folder=str(request.output / schedule.name),
            layers=_layers_per_stage(layers, count, schedule.name, costs),
            steps=request.steps,
            warmup=request.warmup,
            seed=request.seed,
            sizes=sizes,
            costs=costs,
            share_gpus=request.share_gpus,
            memory_history=request.memory_history,
            faults=request.inject,
        )
        for schedule, count in zip(schedules, stages, strict=True)
    ]


def _check_faults(request: JobRequest, device: str, pp: int) -> None:
    if request.inject and device != "emulated":
        raise DpprofError("--inject changes modelled times; add --device emulated")
    for text in request.inject:
        read_fault(text, pp)


def _schedules(request: JobRequest, pp: int) -> list[Schedule]:
    micro_batches = request.micro_batches or _default_micro_batches(pp)
    given = request.schedule or (_ONE_RANK if pp == 1 else _RANKS)
    words = [word.strip() for word in given.split(",") if word.strip()]
    schedules = [find_schedule(word, pp, micro_batches) for word in words]
    names = {schedule.name for schedule in schedules}
    if not names or len(names) < len(schedules):
        raise DpprofError(f"--schedule {given}: give every schedule once")
    for name in names:
        if Path(name).name != name:
            raise DpprofError(f"a schedule called {name!r} cannot name a folder; rename it")
    return schedules


def _check_gpu_options(request: JobRequest, device: str) -> None:
    if device != "cuda" and (request.share_gpus or request.memory_history):
        option = "--share-gpus" if request.share_gpus else "--memory-history"
        raise DpprofError(f"{option} is for GPUs and this would run on {device}; leave it out")
    if request.share_gpus and request.dp * request.ep > 1:
        raise DpprofError(
            "--share-gpus puts pipeline ranks on one GPU, no expert or data ranks; leave out "
            "--ep and --dp (--set looped_ep=N stands for N expert ranks)"
        )


def _default_pp(data_ranks: int) -> int:
    """What torchrun's world holds, else 4."""
    world_size = os.environ.get("WORLD_SIZE", "") if "RANK" in os.environ else ""
    return max(int(world_size) // data_ranks, 1) if world_size.isdigit() else 4


def _default_micro_batches(pp: int) -> int:
    """DualPipe's paper shows 20 micro-batches on 8 ranks: 2.5 a rank."""
    return max(2, 2 * -(-5 * pp // 4))


def _check_world(world_size: int) -> None:
    given = os.environ.get("WORLD_SIZE") if "RANK" in os.environ else None
    if given is not None and given != str(world_size):
        raise DpprofError(
            f"--pp x --dp x --ep is {world_size}, but torchrun started {given} processes; "
            "make them equal"
        )


def _model_of(
    request: JobRequest, device: str, stages: list[int]
) -> tuple[dict[str, Any] | None, dict[str, Any], int]:
    """Costs of the emulated device or sizes of the real model; and the layers of all stages."""
    if device == "emulated":
        if request.sizes:
            raise DpprofError(
                f"--set {request.sizes[0]}: the emulated device has no model, its sizes are those "
                "of --costs; leave --set out, or choose --device cpu or cuda"
            )
        profile = load_costs(request.costs)
        whole = model_layers(profile, max(stages))
        if request.layers not in (None, whole) and not is_uniform(profile):
            raise DpprofError(f"costs {profile.name} list {whole} layers; leave --layers out")
        return msgspec.to_builtins(profile), {}, request.layers or whole
    from dpprof.reference.model.presets import preset, with_sizes

    config = preset(request.model)
    config = with_sizes(config, request.sizes)
    whole = math.lcm(*stages)
    layers = request.layers or -(-config.layers // whole) * whole
    config = dataclasses.replace(config, layers=layers, seed=request.seed)
    if request.expert_load is not None:
        placement = placement_for(
            request.expert_load, config.expert_groups, request.ep, request.redundant_experts
        )
        config = dataclasses.replace(config, expert_placement=placement)
    for count in stages:
        config.check_parallel(count, request.ep)
    return None, config.to_json(), layers


def _layers_per_stage(layers: int, stages: int, schedule: str, costs: dict[str, Any] | None) -> int:
    if costs is not None:
        profile = msgspec.convert(costs, CostProfile)
        if not is_uniform(profile):
            return max(stage_layers(profile, stages))
    if layers % stages:
        raise DpprofError(
            f"{layers} layers do not divide by the {stages} stages of {schedule}; "
            f"choose --layers as a multiple of {stages}"
        )
    return layers // stages
