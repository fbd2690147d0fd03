"""A schedule in index form: slots numbered through, and the messages between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Action, slot_text
from dpprof.schedules.schedule import Dependency, DependencyRule, Schedule


class PlannedMessage(NamedTuple):
    """A result that goes from one rank to another; `member` is the producer within its slot."""

    producer: int  # slot number
    member: int
    consumer: int  # slot number
    source: int  # pipeline rank
    target: int


@dataclass(frozen=True)
class StepPlan:
    """Slots numbered rank by rank; rank r has numbers ``offsets[r]`` to ``offsets[r + 1] - 1``.

    `messages` are ordered by producer and member, so those of one edge are in sending order.
    `sends[slot]` and `receives[slot]` are the numbers of the messages it makes and needs.
    """

    schedule: Schedule
    offsets: tuple[int, ...]
    messages: tuple[PlannedMessage, ...]
    sends: tuple[tuple[int, ...], ...]
    receives: tuple[tuple[int, ...], ...]

    def text(self, pp_rank: int, slot: int) -> str:
        """The slot in words, for errors."""
        return slot_text(self.schedule.ranks[pp_rank][slot - self.offsets[pp_rank]])


_Where = dict[Action, tuple[int, int]]


def make_plan(schedule: Schedule) -> StepPlan:
    """Find every message; raises `DpprofError` where a slot needs what no earlier slot makes."""
    offsets = [0]
    for slots in schedule.ranks:
        offsets.append(offsets[-1] + len(slots))
    where = tuple(
        {
            action: (number, member)
            for number, slot in enumerate(slots, start=offsets[pp_rank])
            for member, action in enumerate(slot)
        }
        for pp_rank, slots in enumerate(schedule.ranks)
    )
    _check_once(schedule, where)
    messages = sorted(_messages(schedule, where))
    sends: list[tuple[int, ...]] = [()] * offsets[-1]
    receives: list[tuple[int, ...]] = [()] * offsets[-1]
    for number, message in enumerate(messages):
        sends[message.producer] += (number,)
        receives[message.consumer] += (number,)
    return StepPlan(schedule, tuple(offsets), tuple(messages), tuple(sends), tuple(receives))


def _check_once(schedule: Schedule, where: tuple[_Where, ...]) -> None:
    for pp_rank, slots in enumerate(schedule.ranks):
        if len(where[pp_rank]) != sum(len(slot) for slot in slots):
            actions = list(schedule.actions(pp_rank))
            twice = next(action for action in actions if actions.count(action) > 1)
            raise DpprofError(
                f"pipeline rank {pp_rank}: {twice} is there more than once; remove all but one"
            )


def _messages(schedule: Schedule, where: tuple[_Where, ...]) -> list[PlannedMessage]:
    rule = DependencyRule(schedule)
    messages = []
    for pp_rank, own in enumerate(where):
        for action, (number, _) in own.items():
            needed = rule.upstream(pp_rank, action)
            if needed is not None:
                producer, member = _find(where, needed, pp_rank, action)
                if needed.pp_rank != pp_rank:
                    messages.append(
                        PlannedMessage(producer, member, number, needed.pp_rank, pp_rank)
                    )
                    continue
                _check_order(producer, number, needed, action)
            before = rule.own(pp_rank, action)
            if before is not None:
                producer, _ = _find(where, before, pp_rank, action)
                _check_order(producer, number, before, action)
    return messages


def _find(
    where: tuple[_Where, ...], needed: Dependency, pp_rank: int, action: Action
) -> tuple[int, int]:
    found = where[needed.pp_rank].get(needed.action)
    if found is None:
        raise DpprofError(
            f"pipeline rank {pp_rank}: {action} needs {needed.action} of pipeline rank "
            f"{needed.pp_rank}, which the schedule does not hold; add it"
        )
    return found


def _check_order(producer: int, consumer: int, needed: Dependency, action: Action) -> None:
    if producer >= consumer:
        raise DpprofError(
            f"pipeline rank {needed.pp_rank}: {action} comes before {needed.action}, which it "
            "needs; put it later in the rank's list"
        )
