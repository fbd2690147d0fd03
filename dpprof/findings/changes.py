"""What each kind of fault would be without: the changes that a replay is timed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from dpprof.costs.profile import CostProfile, MessageCost
from dpprof.errors import DpprofError
from dpprof.findings.device_time import covered
from dpprof.findings.replay import Lengths, Replay
from dpprof.schedules.actions import slot_text
from dpprof.schedules.components import COMMUNICATION_COMPONENTS
from dpprof.simulate.timing import list_schedule
from dpprof.tables.columns import COMPONENT, END, OPERATION, PART, RANK, READY, START, STEP
from dpprof.tables.intervals import subtract

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
        gaps = _idles(replay, rank, lengths)
        if not parts and not gaps:
            continue  # it has more to do than its peers: no fault of the rank
        why = "nothing runs in most of it" if gaps else f"slower are {', '.join(parts)}"
        yield Change(
            "gaps in slots" if gaps else "slow rank",
            f"slots of pipeline rank {rank} take up to x{slow[worst]:.2f} the time of those of its "
            f"peers (most in {worst}; {why}): if they did not",
            _GAP_KNOB if gaps else _SLOW_KNOB,
            (rank,),
            tuple(sorted(slow)),
            length_ns=lengths.round().astype(np.int64),
        )


def _idles(replay: Replay, pp_rank: int, without: npt.NDArray[np.float64]) -> bool:
    """Whether nothing runs in at least half of the time that slots of the rank take too much."""
    own = replay.pp_rank == pp_rank
    more = replay.length_ns[:, own].sum() - without[:, own].sum()
    peers = replay.idle_ns[:, ~own] / np.maximum(replay.length_ns[:, ~own], 1)
    usual = float(np.median(peers)) * replay.length_ns[:, own].sum()
    return bool(replay.idle_ns[:, own].sum() - usual >= more / 2)


def long_slots(replay: Replay) -> Iterator[Change]:
    """Single slots that are longer in the median step than their siblings on the same rank."""
    for rank in range(int(replay.pp_rank.max()) + 1):
        lengths, names = replay.length_ns.copy(), []
        for kind in np.unique(replay.kind[replay.pp_rank == rank]):
            slots = np.flatnonzero((replay.pp_rank == rank) & (replay.kind == kind))
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
    """Slots that take longer than their components would if each ran once its inputs were there.

    Time of what belongs to no component is not counted. Where for most of the rest nothing runs
    at all, components do not wait for each other: those are gaps.
    """
    lengths, names, gaps, more = replay.length_ns.astype(float), [], 0.0, 0.0
    for operation in np.unique(replay.operation):
        model = _modelled(replay.costs, str(operation))
        slots = replay.operation == operation
        measured = float(np.median(replay.length_ns[:, slots]))
        if not model:
            continue
        least = model + float(np.median(replay.unlabelled_ns[:, slots]))
        if measured > least * (1 + _UNLIKE_MODEL):
            lengths[:, slots] *= least / measured
            gaps += float(np.median(replay.idle_ns[:, slots])) * slots.sum()
            more += (measured - least) * slots.sum()
            names.append(f"{operation} {measured / 1e6:.2f} instead of {least / 1e6:.2f} ms")
    if not names:
        return
    slots_named = tuple(name.split(" ")[0] for name in names)
    without = lengths.round().astype(np.int64)
    if gaps >= more / 2:
        yield Change(
            "gaps in slots",
            f"between the components of slots nothing runs ({'; '.join(names)}): if each ran as "
            "soon as its lane and inputs allow",
            _GAP_KNOB,
            slots=slots_named,
            length_ns=without,
        )
        return
    yield Change(
        "lost overlap",
        f"components wait for each other where they could run side by side "
        f"({'; '.join(names)}): if each ran as soon as its lane and inputs allow",
        "streams of dispatch and combine (DeepEP async_finish, previous_event; "
        "CUDA_DEVICE_MAX_CONNECTIONS > 1; Megatron --overlap-moe-expert-parallel-comm)",
        slots=slots_named,
        length_ns=without,
    )


def hidden_communication(replay: Replay) -> Iterator[Change]:
    """Dispatch or combine that no computation hides, taken out of the slots.

    By the model of a slot's two lanes, but no more than was seen with no computation beside it.
    """
    for component in sorted(one.value for one in COMMUNICATION_COMPONENTS):
        lengths = replay.length_ns.copy()
        without = _without(replay.costs, component)
        seen = _exposed_ns(replay, component)
        for operation in np.unique(replay.operation):
            model = _modelled(replay.costs, str(operation))
            if model:
                saved = model - (_modelled(without, str(operation)) or model)
                slots = replay.operation == operation
                lengths[:, slots] -= np.minimum(saved, seen[:, slots])
        if (lengths != replay.length_ns).any():
            yield Change(
                f"exposed {component}",
                f"{component} is not hidden everywhere: if all of it were",
                "a schedule with more overlapped pairs (DualPipe, Megatron "
                "--overlap-moe-expert-parallel-comm), DeepEP num_sms, node-limited routing",
                length_ns=np.maximum(lengths, 0),
            )


def _exposed_ns(replay: Replay, component: str) -> Lengths:
    """(steps, slots): the time in which a slot transfers for a component and computes nothing."""
    alone = {
        rank: subtract(moves, computes)
        for rank, (moves, computes) in replay.device.exposed(component).items()
    }
    return covered(alone, replay.pp_rank, replay.starts, replay.starts + replay.length_ns)


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
    side_by_side = msgspec.structs.replace(costs, serial_components=[])
    try:
        return list_schedule(side_by_side, operation, costs.layers).length_ns
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
