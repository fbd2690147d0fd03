"""The figures of a step by the compiled core: what the simulator gives, without its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation
from dpprof.schedules.in_flight import most_bytes_held, most_in_flight
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import ANY_RANK, Timing

try:
    from dpprof.schedules import _step as _compiled  # type: ignore[attr-defined]
except ImportError:  # built without a C compiler
    _compiled = None

_OPERATIONS = tuple(Operation)
_UNKNOWN = -1
_LARGEST_NS = 2**40
"""Slots longer than this are left to the simulator, which says when a step is too long."""


class Figures(NamedTuple):
    """Of a schedule: its step, the time in slots and the most held, by pipeline rank.

    `peak_chunks` are chunks in flight, `held_bytes` the most that chunks take at once.
    """

    step_ns: int
    busy_ns: tuple[int, ...]
    peak_chunks: tuple[int, ...]
    held_bytes: tuple[int, ...]


def has_compiled() -> bool:
    """Whether the compiled core was built."""
    return _compiled is not None


def fast_step(
    schedule: Schedule, timing: Timing, chunk_bytes: Sequence[Sequence[int]] | None = None
) -> Figures:
    """The figures of a schedule with messages that travel while ranks compute.

    ``chunk_bytes[pp_rank][direction]`` is what a chunk in flight takes (None: nothing). Where the
    compiled core is missing, or finds the schedule odd, the simulator gives them. Raises
    `DpprofError` where the timing lacks an operation, or ranks wait for each other.
    """
    ways = len(schedule.placement.streams)
    sizes = chunk_bytes or ((0,) * ways,) * schedule.pp
    if _compiled is not None and schedule.pp * ways:
        figures = _compiled_step(schedule, timing, np.array(sizes, np.int64))
        if figures is not None:
            return figures
    return step_figures(schedule, timing, sizes)


def step_figures(
    schedule: Schedule, timing: Timing, chunk_bytes: Sequence[Sequence[int]]
) -> Figures:
    """`fast_step` by the simulator alone: its twin."""
    step = simulate(schedule, timing)
    return Figures(
        step.makespan_ns,
        step.busy_ns,
        tuple(map(most_in_flight, schedule.ranks)),
        tuple(map(most_bytes_held, schedule.ranks, chunk_bytes)),
    )


def _compiled_step(
    schedule: Schedule, timing: Timing, sizes: npt.NDArray[np.int64]
) -> Figures | None:
    placement, pp = schedule.placement, schedule.pp
    ways = len(placement.streams)
    lengths = _lengths(timing, pp, ways)
    message = (timing.message.transfer_ns, timing.message.duration_ns)
    if max(int(lengths.max()), *message) > _LARGEST_NS:
        return None
    counts = (pp, ways, schedule.micro_batches_per_stream, placement.stage_count)
    figures = np.zeros(1 + 3 * pp, np.int64)
    if not _compiled.step(
        schedule.ranks,
        _OPERATIONS,
        np.array(counts, np.int32),
        np.array(placement.stages, np.int32),
        np.array(placement.streams, np.int32),
        lengths,
        sizes,
        np.array(message, np.int64),
        figures,
    ):
        return None
    values = figures.tolist()
    busy, chunks, held = (tuple(values[1 + n * pp : 1 + (n + 1) * pp]) for n in range(3))
    return Figures(values[0], busy, chunks, held)


def _lengths(timing: Timing, pp: int, ways: int) -> npt.NDArray[np.int64]:
    """(ranks, kinds of slots): F, B, I, W by direction, then pairs; -1 where none is known."""
    alike = not timing.staged and all(rank == ANY_RANK for rank, _ in timing.templates)
    kinds: list[tuple[str, tuple[int, ...]]] = [
        (operation.value, (way,)) for operation in Operation for way in range(ways)
    ]
    kinds += [(OVERLAPPED_PAIR, (way, other)) for way in range(ways) for other in range(ways)]
    rows = [
        [_length(timing, rank, operation, members) for operation, members in kinds]
        for rank in range(1 if alike else pp)
    ]
    return np.ascontiguousarray(np.broadcast_to(np.array(rows, np.int64), (pp, len(kinds))))


def _length(timing: Timing, rank: int, operation: str, ways: tuple[int, ...]) -> int:
    template = timing.staged.get((rank, operation, ways))
    for key in ((rank, operation), (ANY_RANK, operation)):
        template = template or timing.templates.get(key)
    return _UNKNOWN if template is None else template.length_ns
