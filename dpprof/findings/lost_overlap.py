"""Components that wait for each other, gaps between them, and communication nothing hides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dpprof.findings.change import GAP_KNOB, SLOWER, Change
from dpprof.findings.device_time import covered
from dpprof.findings.replay import Lengths, Replay, shortened
from dpprof.schedules.actions import slot_operation
from dpprof.schedules.components import COMMUNICATION_COMPONENTS
from dpprof.tables.intervals import subtract

_KNOB = (
    "streams of dispatch and combine (DeepEP async_finish, previous_event; "
    "CUDA_DEVICE_MAX_CONNECTIONS > 1; Megatron --overlap-moe-expert-parallel-comm)"
)


@dataclass(frozen=True)
class _Longer:
    """Slots of one kind on a rank, which take longer than their components side by side would."""

    rank: int
    operation: str
    places: Lengths
    measured_ns: float
    least_ns: float
    idle_ns: float


def lost_overlap(replay: Replay) -> Iterator[Change]:
    """Slots that take longer than their components would if each ran once its inputs were there.

    Time of what belongs to no component is not counted. Where for most of the rest nothing runs
    at all, components do not wait for each other: those are gaps. All ranks together, or where
    that is so on half of them or fewer, each of those.
    """
    longer = _longer(replay)
    ranks = sorted({one.rank for one in longer})
    if 2 * len(ranks) > int(replay.pp_rank.max()) + 1:
        yield _change(replay, longer, ())
        return
    for rank in ranks:
        yield _change(replay, [one for one in longer if one.rank == rank], (rank,))


def _longer(replay: Replay) -> list[_Longer]:
    found = []
    for rank, slot, places in replay.kinds():
        model = replay.models.side_by_side(rank, slot)
        measured = float(np.median(replay.length_ns[:, places]))
        least = (model or 0) + float(np.median(replay.unlabelled_ns[:, places]))
        if model and measured > least * SLOWER:
            idle = float(np.median(replay.idle_ns[:, places]))
            found.append(_Longer(rank, slot_operation(slot), places, measured, least, idle))
    return found


def _change(replay: Replay, longer: Sequence[_Longer], ranks: tuple[int, ...]) -> Change:
    lengths, gaps, more = replay.length_ns.astype(float), 0.0, 0.0
    for one in longer:
        ratio = one.least_ns / one.measured_ns
        lengths[:, one.places] = shortened(lengths[:, one.places], ratio)
        gaps += one.idle_ns * len(one.places)
        more += (one.measured_ns - one.least_ns) * len(one.places)
    where = f" of pipeline rank {ranks[0]}" if ranks else ""
    seen = (
        f"{where} ({'; '.join(_texts(longer))}): if each ran as soon as its lane and inputs allow"
    )
    is_gaps = gaps >= more / 2
    return Change(
        "gaps in slots" if is_gaps else "lost overlap",
        f"between the components of slots nothing runs{seen}"
        if is_gaps
        else f"components wait for each other where they could run side by side{seen}",
        GAP_KNOB if is_gaps else _KNOB,
        ranks,
        tuple(sorted({one.operation for one in longer})),
        length_ns=lengths.round().astype(np.int64),
    )


def _texts(longer: Sequence[_Longer]) -> list[str]:
    """Of every operation what its slots take, and what they would, where that is most."""
    worst: dict[str, _Longer] = {}
    for one in sorted(longer, key=lambda one: one.measured_ns - one.least_ns):
        worst[one.operation] = one
    return [
        f"{name} {worst[name].measured_ns / 1e6:.2f} instead of {worst[name].least_ns / 1e6:.2f} ms"
        for name in sorted(worst)
    ]


def hidden_communication(replay: Replay) -> Iterator[Change]:
    """Dispatch or combine that no computation hides, taken out of the slots.

    By the model of a slot's two lanes, but no more than was seen with no computation beside it.
    """
    for component in sorted(one.value for one in COMMUNICATION_COMPONENTS):
        lengths = replay.length_ns.copy()
        seen = _exposed_ns(replay, component)
        for rank, slot, places in replay.kinds():
            model = replay.models.side_by_side(rank, slot)
            if model:
                saved = model - (replay.models.side_by_side(rank, slot, component) or model)
                lengths[:, places] -= np.minimum(saved, seen[:, places])
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
