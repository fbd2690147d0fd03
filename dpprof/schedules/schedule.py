"""The schedule type: every rank's ordered list of slots, and which stage each of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.schedules.actions import Action, Operation, Slot


class StageSeat(NamedTuple):
    """Where a stage of a stream lives: pipeline rank and direction."""

    pp_rank: int
    direction: int


@dataclass(frozen=True)
class Placement:
    """Which pipeline stage a rank runs in each direction, and which stream the direction feeds.

    ``stages[pp_rank][direction]`` is a stage number from 0 (embedding) to ``stage_count - 1``
    (loss). ``streams[direction]`` numbers the independent flows of micro-batches: DualPipe has
    two (micro-batch 0 of direction 0 and of direction 1 are different data); the two directions
    of a V-shaped schedule, and the chunks of an interleaved one, are parts of one flow.
    """

    stages: tuple[tuple[int, ...], ...]
    streams: tuple[int, ...]

    @property
    def stage_count(self) -> int:
        """Number of stages that a micro-batch passes through."""
        return 1 + max(stage for rank in self.stages for stage in rank)

    @property
    def stream_count(self) -> int:
        """Number of independent flows of micro-batches."""
        return 1 + max(self.streams)

    def places(self) -> dict[tuple[int, int], StageSeat]:
        """``(stream, stage) -> Place``: the inverse of `stages`."""
        return {
            (self.streams[direction], stage): StageSeat(pp_rank, direction)
            for pp_rank, stages in enumerate(self.stages)
            for direction, stage in enumerate(stages)
        }


class Dependency(NamedTuple):
    """What an action needs first: `action` on `pp_rank`; a message where that is another rank."""

    pp_rank: int
    action: Action


@dataclass(frozen=True)
class Schedule:
    """A pipeline schedule as plain data: ``ranks[pp_rank]`` is that rank's list of slots.

    `micro_batches` is the number that the command line takes: both directions together for
    DualPipe, the single stream for all others. Made by the pure functions of this package;
    `dpprof.schedules.check` proves one complete and free of deadlock.
    """

    name: str
    micro_batches: int
    placement: Placement
    ranks: tuple[tuple[Slot, ...], ...]

    @property
    def pp(self) -> int:
        """Number of pipeline ranks."""
        return len(self.ranks)

    @property
    def micro_batches_per_stream(self) -> int:
        """Micro-batches of each independent flow."""
        return self.micro_batches // self.placement.stream_count

    def stage(self, pp_rank: int, direction: int) -> int:
        """The stage that `pp_rank` runs in `direction`."""
        return self.placement.stages[pp_rank][direction]

    def actions(self, pp_rank: int) -> Iterator[Action]:
        """Every action of a rank, in order, pairs taken apart."""
        for slot in self.ranks[pp_rank]:
            yield from slot


class DependencyRule:
    """Answers what an action of a schedule needs; keeps the inverted placement for speed.

    A forward needs the forward of the stage before; a backward (or input gradient) that of the
    stage after, which may be a full backward or an input gradient, and its own forward; a weight
    gradient needs its input gradient.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._places = schedule.placement.places()
        self._last = schedule.placement.stage_count - 1
        self._backward: dict[tuple[int, int, int], Operation] = {
            (pp_rank, action.direction, action.micro_batch): action.operation
            for pp_rank in range(schedule.pp)
            for action in schedule.actions(pp_rank)
            if action.operation in (Operation.BACKWARD, Operation.INPUT_GRADIENT)
        }

    def upstream(self, pp_rank: int, action: Action) -> Dependency | None:
        """The action on the stage whose output `action` takes in, or None at the ends."""
        return self._neighbour(pp_rank, action, with_flow=False)

    def downstream(self, pp_rank: int, action: Action) -> Dependency | None:
        """The action on the stage that takes in the output of `action`, or None at the ends."""
        return self._neighbour(pp_rank, action, with_flow=True)

    def _neighbour(self, pp_rank: int, action: Action, *, with_flow: bool) -> Dependency | None:
        if action.operation is Operation.WEIGHT_GRADIENT:
            return None
        forward = action.operation is Operation.FORWARD
        placement = self._schedule.placement
        stage = placement.stages[pp_rank][action.direction]
        stage += 1 if forward == with_flow else -1
        if not 0 <= stage <= self._last:
            return None
        place = self._places[(placement.streams[action.direction], stage)]
        operation = Operation.FORWARD if forward else self._backward_of(place, action.micro_batch)
        return Dependency(place.pp_rank, Action(operation, place.direction, action.micro_batch))

    def own(self, pp_rank: int, action: Action) -> Dependency | None:
        """The earlier action of the same rank, stage and micro-batch that `action` builds on."""
        if action.operation is Operation.FORWARD:
            return None
        before = (
            Operation.INPUT_GRADIENT
            if action.operation is Operation.WEIGHT_GRADIENT
            else Operation.FORWARD
        )
        return Dependency(pp_rank, Action(before, action.direction, action.micro_batch))

    def _backward_of(self, place: StageSeat, micro_batch: int) -> Operation:
        key = (place.pp_rank, place.direction, micro_batch)
        return self._backward.get(key, Operation.BACKWARD)
