"""Follows a schedule on one rank: messages as it needs them, and what each slot is told to do."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from dpprof.schedules.actions import Action, Slot
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import DependencyRule

UNIT_S = 0.008
_LENGTHS = {"F": 1, "B": 2, "I": 1, "W": 1}


class Work(torch.autograd.Function):
    """An operator that takes a known time."""

    @staticmethod
    def forward(ctx, x, units):
        time.sleep(units * UNIT_S)
        return x.clone()


def compute(*operations: str) -> None:
    """Compute for as long as these operations take."""
    Work.apply(torch.zeros(1), sum(_LENGTHS[one] for one in operations))


def _tag(action: Action, producing: int) -> int:
    way = 0 if action.operation.value == "F" else 1
    return ((producing * 2 + way) * 4 + action.direction) * 64 + action.micro_batch


def follow(name: str, micro_batches: int, act: Callable[[Slot], None]) -> None:
    """Run this rank's slots in their order; `act` computes one."""
    rank, world = dist.get_rank(), dist.get_world_size()
    schedule = make_schedule(name, world, micro_batches)
    rule, sent = DependencyRule(schedule), []
    for slot in schedule.ranks[rank]:
        for action in slot:
            source = rule.upstream(rank, action)
            if source is not None and source.pp_rank != rank:
                box = torch.empty(16)
                tag = _tag(source.action, source.pp_rank)
                dist.irecv(box, source.pp_rank, tag=tag).wait()
        act(slot)
        for action in slot:
            target = rule.downstream(rank, action)
            if target is not None and target.pp_rank != rank:
                tag = _tag(action, rank)
                sent.append(dist.isend(torch.zeros(16), target.pp_rank, tag=tag))
    for work in sent:
        work.wait()
