"""What each kind of fault would be without: the changes that a replay is timed with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dpprof.costs.profile import MessageCost
from dpprof.findings.change import Change
from dpprof.findings.lost_overlap import hidden_communication, lost_overlap
from dpprof.findings.replay import Replay
from dpprof.findings.slow_ranks import slow_ranks
from dpprof.schedules.actions import slot_text

_OUTLIER = 1.10


def changes(replay: Replay) -> Iterator[Change]:
    """Everything that can be taken out of this run and is there; gains are still to be timed."""
    slow = list(slow_ranks(replay))
    yield from slow
    yield from long_slots(replay)
    yield from late_launches(replay)
    yield from slow_edges(replay)
    yield from free_messages(replay)
    said = {rank for change in slow if change.what == "gaps in slots" for rank in change.ranks}
    yield from (one for one in lost_overlap(replay) if not said.intersection(one.ranks))
    yield from hidden_communication(replay)


def long_slots(replay: Replay) -> Iterator[Change]:
    """Single slots that are longer in the median step than their siblings on the same rank."""
    for rank in range(int(replay.pp_rank.max()) + 1):
        lengths, names = replay.length_ns.copy(), []
        for kind in np.unique(replay.kind[replay.pp_rank == rank]):
            slots = np.flatnonzero((replay.pp_rank == rank) & (replay.kind == kind))
            typical = np.median(replay.length_ns[:, slots], axis=1, keepdims=True)
            times = replay.length_ns[:, slots] / np.maximum(typical, 1)
            long = slots[np.median(times, axis=0) > _OUTLIER]
            if len(slots) < 4 or len(long) > len(slots) / 4:
                continue
            lengths[:, long] = np.minimum(lengths[:, long], typical.round().astype(np.int64))
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


def slow_edges(replay: Replay) -> Iterator[Change]:
    """Messages of slow edges that take as long as those of the others."""
    if replay.edges:
        slow = sorted(replay.edges.items(), key=lambda one: -one[1].duration_ns)
        words = [f"{a} to {b} ({cost.duration_ns / 1e6:.2f} ms)" for (a, b), cost in slow]
        yield Change(
            "slow edge",
            f"messages take longer than the {replay.message.duration_ns / 1e6:.2f} ms of other "
            f"edges from pipeline rank {', '.join(words[:4])}"
            f"{' ...' if len(words) > 4 else ''}: if they did not",
            "the link between these ranks: NCCL_IB_HCA, NCCL_CROSS_NIC, NCCL_SOCKET_IFNAME, which "
            "ranks share a machine (Megatron --use-tp-pp-dp-mapping)",
            tuple(sorted({rank for edge in replay.edges for rank in edge})),
            message=replay.message,
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


def _slot_text(replay: Replay, number: int) -> str:
    assert replay.run.schedule is not None
    rank = int(replay.pp_rank[number])
    return slot_text(replay.run.schedule.ranks[rank][number - replay.plan.offsets[rank]])
