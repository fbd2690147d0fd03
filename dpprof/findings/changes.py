"""What each kind of fault would be without: the changes that a replay is timed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.findings.replay import Lengths, Replay
from dpprof.schedules.actions import slot_text
from dpprof.schedules.components import COMMUNICATION_COMPONENTS
from dpprof.simulate.timing import list_schedule
from dpprof.tables.columns import COMPONENT, END, OPERATION, PART, RANK, READY, START, STEP

_SLOWER = 1.03
"""A rank or slot is slow from this ratio to its peers on."""
_OUTLIER = 1.10
_UNLIKE_MODEL = 0.03


_SLOW_KNOB = (
    "its clocks and temperature (nvidia-smi -q -d PERFORMANCE), its share of the layers (Megatron "
    "--decoder-first-pipeline-num-layers, torchtitan module_fqns_per_model_part), of experts' load"
)
_GAP_KNOB = (
    "time passes between components: synchronisations with the host (.item(), .cpu(), "
    "CUDA_LAUNCH_BLOCKING), launches (CUDA graphs), garbage collection (Megatron --manual-gc)"
)


@dataclass(frozen=True)
class Change:
    """One thing taken out of a run; `length_ns`, `late_ns`, `message` as in `Replay.step_ns`."""

    what: str
    text: str
    knob: str
    ranks: tuple[int, ...] = ()
    slots: tuple[str, ...] = ()
    length_ns: Lengths | None = field(default=None, repr=False)
    late_ns: Lengths | None = field(default=None, repr=False)
    message: MessageCost | None = None


def changes(replay: Replay) -> Iterator[Change]:
    """Everything that can be taken out of this run and is there; gains are still to be timed."""
    yield from slow_ranks(replay)
    yield from long_slots(replay)
    yield from late_launches(replay)
    yield from free_messages(replay)
    yield from lost_overlap(replay)
    yield from hidden_communication(replay)


def slow_ranks(replay: Replay) -> Iterator[Change]:
    """A rank whose slots are longer than those of the median rank, operation by operation."""
    typical = _typical(replay)
    for rank in range(int(replay.pp_rank.max()) + 1):
        peers = {
            operation: float(np.median([ns for other, ns in ranks.items() if other != rank]))
            for operation, ranks in typical.items()
            if rank in ranks and len(ranks) > 2
        }
        ratio = {operation: typical[operation][rank] / ns for operation, ns in peers.items() if ns}
        slow = {operation: one for operation, one in ratio.items() if one > _SLOWER}
        if not slow:
            continue
        lengths = replay.length_ns.astype(float)
        for operation, one in slow.items():
            chosen = (replay.pp_rank == rank) & (replay.operation == operation)
            lengths[:, chosen] /= one
        worst = max(slow, key=lambda operation: slow[operation])
        parts = _slow_components(replay, rank)
        why = f"slower are {', '.join(parts)}" if parts else "none of its components is slower"
        yield Change(
            "slow rank" if parts else "gaps in slots",
            f"pipeline rank {rank} takes up to x{slow[worst]:.2f} the time of its peers for the "
            f"same work (most in {worst}; {why}): if it were as fast",
            _SLOW_KNOB if parts else _GAP_KNOB,
            (rank,),
            tuple(sorted(slow)),
            length_ns=lengths.round().astype(np.int64),
        )


def long_slots(replay: Replay) -> Iterator[Change]:
    """Single slots that are longer in the median step than their siblings on the same rank."""
    for rank in range(int(replay.pp_rank.max()) + 1):
        lengths, names = replay.length_ns.copy(), []
        for operation in np.unique(replay.operation[replay.pp_rank == rank]):
            slots = np.flatnonzero((replay.pp_rank == rank) & (replay.operation == operation))
            typical = float(np.median(replay.length_ns[:, slots]))
            long = slots[np.median(replay.length_ns[:, slots], axis=0) > _OUTLIER * typical]
            if len(slots) < 4 or len(long) > len(slots) / 4:
                continue
            lengths[:, long] = np.minimum(lengths[:, long], round(typical))
            names += [_slot_text(replay, int(slot)) for slot in long]
        if names:
            yield Change(
                "long slots",
                f"{', '.join(names[:4])}{' ...' if len(names) > 4 else ''} of pipeline rank {rank} "
                "take longer than others of their kind on the rank: if they did not",
                "what runs beside them: the kernels of these slots, garbage collection, recompiles",
                (rank,),
                tuple(names),
                length_ns=lengths,
            )


def late_launches(replay: Replay) -> Iterator[Change]:
    """Slots that start later than their rank is free and their inputs are there."""
    for rank in range(int(replay.pp_rank.max()) + 1):
        own = replay.pp_rank == rank
        late = replay.late_ns.copy()
        late[:, own] = 0
        if replay.late_ns[:, own].any():
            yield Change(
                "late starts",
                f"slots of pipeline rank {rank} start "
                f"{replay.late_ns[:, own].sum(axis=1).mean() / 1e6:.2f} ms a step later than the "
                "rank is free and their inputs have come: if they did not",
                "launches and synchronisations of the host (CUDA graphs, "
                "CUDA_DEVICE_MAX_CONNECTIONS, Megatron --manual-gc), slow messages",
                (rank,),
                late_ns=late,
            )


def free_messages(replay: Replay) -> Iterator[Change]:
    """Messages between pipeline ranks that take no time."""
    if replay.message.duration_ns:
        yield Change(
            "messages",
            f"a message between pipeline ranks takes {replay.message.duration_ns / 1e6:.2f} ms: "
            "if messages were free",
            "NCCL_P2P_LEVEL, NCCL_IB_HCA; Megatron --overlap-p2p-communication, "
            "--scatter-gather-tensors-in-pipeline",
            message=MessageCost(),
        )


def lost_overlap(replay: Replay) -> Iterator[Change]:
    """Slots that take longer than their components would if each ran once its inputs were there."""
    lengths, names = replay.length_ns.astype(float), []
    for operation in np.unique(replay.operation):
        model = _modelled(replay.costs, str(operation))
        slots = replay.operation == operation
        measured = float(np.median(replay.length_ns[:, slots]))
        if model and measured > model * (1 + _UNLIKE_MODEL):
            lengths[:, slots] *= model / measured
            names.append(f"{operation} {measured / 1e6:.2f} instead of {model / 1e6:.2f} ms")
    if names:
        yield Change(
            "lost overlap",
            f"components wait for each other where they could run side by side "
            f"({'; '.join(names)}): if each ran as soon as its lane and inputs allow",
            "streams of dispatch and combine (DeepEP async_finish, previous_event; "
            "CUDA_DEVICE_MAX_CONNECTIONS > 1; Megatron --overlap-moe-expert-parallel-comm)",
            slots=tuple(name.split(" ")[0] for name in names),
            length_ns=lengths.round().astype(np.int64),
        )


def hidden_communication(replay: Replay) -> Iterator[Change]:
    """Dispatch or combine that no computation hides, taken out of the slots."""
    for component in sorted(one.value for one in COMMUNICATION_COMPONENTS):
        lengths = replay.length_ns.copy()
        without = _without(replay.costs, component)
        for operation in np.unique(replay.operation):
            model = _modelled(replay.costs, str(operation))
            if model:
                saved = model - (_modelled(without, str(operation)) or model)
                slots = replay.operation == operation
                lengths[:, slots] = np.maximum(lengths[:, slots] - saved, 0)
        if (lengths != replay.length_ns).any():
            yield Change(
                f"exposed {component}",
                f"{component} is not hidden everywhere: if all of it were",
                "a schedule with more overlapped pairs (DualPipe, Megatron "
                "--overlap-moe-expert-parallel-comm), DeepEP num_sms, node-limited routing",
                length_ns=lengths,
            )


def _slow_components(replay: Replay, pp_rank: int) -> list[str]:
    """Components (part and name) whose median on the rank is above that of the other ranks."""
    run = replay.run
    events = run.events[run.events[STEP].isin(run.used_steps)]
    events = events[events[COMPONENT].astype(str) != ""]
    ranks = events[RANK].map(run.pp_rank)
    begin = events[[START, READY]].max(axis=1)  # waiting for peers is no work
    spans = (events[END] - begin).groupby(
        [ranks, events[PART].astype(str), events[COMPONENT].astype(str), events[OPERATION]],
        observed=True,
    )
    medians = (
        spans.median().rename_axis(["pp_rank", "part", "name", "operation"]).reset_index(name="ns")
    )
    own = medians[medians["pp_rank"] == pp_rank].set_index(["part", "name", "operation"])["ns"]
    others = medians[medians["pp_rank"] != pp_rank]
    peers = others.groupby(["part", "name", "operation"], observed=True)["ns"].median()
    ratio = (own / peers).dropna()
    slow = ratio[ratio > _SLOWER].groupby("name").max()
    return [f"{name} x{value:.2f}" for name, value in slow.items()]


def _typical(replay: Replay) -> dict[str, dict[int, float]]:
    """operation -> pipeline rank -> median length of its slots."""
    table: dict[str, dict[int, float]] = {}
    for rank in range(int(replay.pp_rank.max()) + 1):
        for operation in np.unique(replay.operation[replay.pp_rank == rank]):
            slots = (replay.pp_rank == rank) & (replay.operation == operation)
            median = float(np.median(replay.length_ns[:, slots]))
            table.setdefault(str(operation), {})[rank] = median
    return table


def _modelled(costs: CostProfile, operation: str) -> int | None:
    """Length of a slot by its components on two lanes; None where they are not known."""
    if not costs.component_ns or operation in costs.operation_ns:
        return None
    try:
        return list_schedule(costs, operation, costs.layers).length_ns
    except DpprofError:
        return None


def _without(costs: CostProfile, component: str) -> CostProfile:
    def cut(parts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        return {part: {**own, component: 0} for part, own in parts.items()}

    return msgspec.structs.replace(
        costs,
        component_ns=cut(costs.component_ns),
        pair_component_ns=cut(costs.pair_component_ns),
    )


def _slot_text(replay: Replay, number: int) -> str:
    assert replay.run.schedule is not None
    rank = int(replay.pp_rank[number])
    return slot_text(replay.run.schedule.ranks[rank][number - replay.plan.offsets[rank]])
