"""Proves a schedule complete, in order and free of deadlock, or shows the place where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dpprof.errors import DpprofError
from dpprof.schedules.actions import OVERLAPPED_PAIR, Action, Operation, slot_text
from dpprof.schedules.execution import Execution, execute
from dpprof.schedules.place_grid import place_grid
from dpprof.schedules.placements import placement_fault
from dpprof.schedules.schedule import Dependency, DependencyRule, Schedule

SHOWN_WAITS = 6

_Positions = dict[Action, int]

_SLOT_OPERATIONS = (*(operation.value for operation in Operation), OVERLAPPED_PAIR)
_UNIT_DURATIONS = dict.fromkeys(_SLOT_OPERATIONS, 1)
_BACKWARDS = (Operation.BACKWARD, Operation.INPUT_GRADIENT, Operation.WEIGHT_GRADIENT)


class ScheduleError(DpprofError):
    """A schedule that cannot run, or that leaves something out; the message shows the place."""


def check_schedule(schedule: Schedule) -> None:
    """Prove a schedule; raises `ScheduleError` that shows the first fault in its surroundings.

    Proven are: a sane placement; every stream, stage and micro-batch has one F and either one B
    or one I and one W; on every rank an action comes after those of the same rank that it needs,
    so that the members of an overlapped pair are independent; and no rank waits for ever, where
    a pair starts only once the inputs of both its members are there. Linear in the slots.
    """
    _check_sizes(schedule)
    positions = [_rank_positions(schedule, pp_rank) for pp_rank in range(schedule.pp)]
    for pp_rank in range(schedule.pp):
        _check_complete(schedule, pp_rank, positions[pp_rank])
    execution = execute(schedule, _UNIT_DURATIONS)
    if execution.blocked:
        # A rank in the wrong order never gets past the place, so only blocked ranks can be in it.
        _check_order(schedule, positions)
        raise _deadlock(schedule, execution)


def _fault(schedule: Schedule, what: str, places: Mapping[int, int]) -> ScheduleError:
    grid = place_grid(schedule, places)
    return ScheduleError(f"schedule {schedule.name}: {what}" + (f"\n{grid}" if grid else ""))


def _check_sizes(schedule: Schedule) -> None:
    fault = placement_fault(schedule.placement, schedule.pp)
    if fault is not None:
        raise _fault(schedule, fault, {})
    streams = schedule.placement.stream_count
    if schedule.micro_batches < 1 or schedule.micro_batches % streams:
        what = f"{schedule.micro_batches} micro-batches cannot be shared among {streams} stream(s)"
        raise _fault(schedule, what, {})


def _rank_positions(schedule: Schedule, pp_rank: int) -> _Positions:
    """Action -> position on the rank; refuses odd slots, foreign actions and repeated ones."""
    directions = len(schedule.placement.streams)
    positions: _Positions = {}
    for position, slot in enumerate(schedule.ranks[pp_rank]):
        if len(slot) != 1 and [action.operation for action in slot] != ["F", "B"]:
            what = f"rank {pp_rank}: {slot_text(slot)!r} is neither one action nor a pair F&B"
            raise _fault(schedule, what, {pp_rank: position})
        for action in slot:
            fault = None
            if action in positions:
                fault = f"is there twice, at slots {positions[action]} and {position}"
            elif not 0 <= action.direction < directions:
                fault = f"is of direction {action.direction}, but there are {directions}"
            elif not 0 <= action.micro_batch < schedule.micro_batches_per_stream:
                fault = f"is beyond the {schedule.micro_batches_per_stream} micro-batches"
            if fault is not None:
                raise _fault(schedule, f"rank {pp_rank}: {action} {fault}", {pp_rank: position})
            positions[action] = position
    return positions


def _check_complete(schedule: Schedule, pp_rank: int, positions: _Positions) -> None:
    for direction in range(len(schedule.placement.streams)):
        for micro_batch in range(schedule.micro_batches_per_stream):
            forward = Action(Operation.FORWARD, direction, micro_batch)
            backward, inputs, weights = (
                Action(operation, direction, micro_batch) for operation in _BACKWARDS
            )
            split = (inputs in positions) + (weights in positions)
            if forward in positions and split == (0 if backward in positions else 2):
                continue
            there = [a for a in (forward, backward, inputs, weights) if a in positions]
            place = positions[there[-1]] if there else len(schedule.ranks[pp_rank])
            has = ", ".join(map(str, there)) or "nothing"
            what = (
                f"rank {pp_rank}: micro-batch {micro_batch} of direction {direction} has {has}; "
                "it needs F, and either B or both I and W"
            )
            raise _fault(schedule, what, {pp_rank: place})


def _check_order(schedule: Schedule, positions: list[_Positions]) -> None:
    rule = DependencyRule(schedule)
    for pp_rank, slots in enumerate(schedule.ranks):
        for position, slot in enumerate(slots):
            for action in slot:
                for needed in _needs_of_own_rank(rule, pp_rank, action):
                    if positions[pp_rank][needed] >= position:
                        raise _out_of_order(schedule, pp_rank, position, action, needed)


def _needs_of_own_rank(rule: DependencyRule, pp_rank: int, action: Action) -> Iterator[Action]:
    for needed in (rule.upstream(pp_rank, action), rule.own(pp_rank, action)):
        if needed is not None and needed.pp_rank == pp_rank:
            yield needed.action


def _out_of_order(
    schedule: Schedule, pp_rank: int, position: int, action: Action, needed: Action
) -> ScheduleError:
    same = needed in schedule.ranks[pp_rank][position]
    where = "is in one pair with" if same else "comes before"
    what = f"rank {pp_rank}: {action} {where} {needed}, which it needs first"
    return _fault(schedule, what, {pp_rank: position})


def _deadlock(schedule: Schedule, execution: Execution) -> ScheduleError:
    """Follow who waits for whom from any blocked rank until it closes in a circle."""
    path: list[int] = []
    pp_rank = min(execution.blocked)
    while pp_rank not in path:
        path.append(pp_rank)
        pp_rank = execution.blocked[pp_rank].pp_rank
    circle = path[path.index(pp_rank) :]
    places = {rank: len(execution.spans[rank]) for rank in circle}
    waits = [
        _wait_text(schedule, rank, places[rank], execution.blocked[rank])
        for rank in circle[:SHOWN_WAITS]
    ]
    more = f"\n  and {len(circle) - SHOWN_WAITS} more" if len(circle) > SHOWN_WAITS else ""
    what = "deadlock, these ranks wait for each other:\n  " + "\n  ".join(waits) + more
    return _fault(schedule, what, places)


def _wait_text(schedule: Schedule, pp_rank: int, position: int, needed: Dependency) -> str:
    here = f"rank {pp_rank} at {slot_text(schedule.ranks[pp_rank][position])} (slot {position})"
    return f"{here} waits for {needed.action} of rank {needed.pp_rank}"
