"""Actions and slots: the words a schedule is written in, and their text form."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from dpprof.errors import DpprofError


class Operation(StrEnum):
    """What is done to one micro-batch on one stage."""

    FORWARD = "F"
    BACKWARD = "B"
    INPUT_GRADIENT = "I"
    WEIGHT_GRADIENT = "W"


OVERLAPPED_PAIR = "F&B"
"""Name of the operation of a slot that overlaps a forward with a full backward."""


class Action(NamedTuple):
    """One operation on one micro-batch: ``F0.3`` is the forward of micro-batch 3, direction 0."""

    operation: Operation
    direction: int
    micro_batch: int

    def __str__(self) -> str:
        return f"{self.operation}{self.direction}.{self.micro_batch}"


Slot = tuple[Action, ...]
"""One entry of a rank's list: a single action, or an overlapped ``(forward, backward)`` pair."""


@lru_cache(maxsize=1 << 16)
def single(operation: Operation, direction: int, micro_batch: int) -> Slot:
    """A slot of one action; the same object for all ranks, as large schedules hold many."""
    return (Action(operation, direction, micro_batch),)


@lru_cache(maxsize=64)
def numbered(operation: Operation, direction: int, micro_batches: int) -> tuple[Slot, ...]:
    """The slots of one action for every micro-batch, by its number."""
    return tuple(single(operation, direction, number) for number in range(micro_batches))


_ACTION = re.compile(r"([FBIW])(\d{1,9})\.(\d{1,9})", re.ASCII)


def parse_action(text: str) -> Action:
    """Read ``F0.3``; raises `DpprofError` for anything else."""
    match = _ACTION.fullmatch(text)
    if match is None:
        raise DpprofError(
            f"{text[:40]!r} is not an action; write F, B, I or W, the direction, a dot and the "
            "micro-batch: F0.3"
        )
    return Action(Operation(match[1]), int(match[2]), int(match[3]))


def parse_slot(text: str) -> Slot:
    """Read ``F0.3`` or an overlapped pair ``F0.3&B1.2`` (forward first)."""
    slot = tuple(parse_action(part) for part in text.split("&"))
    operations = tuple(action.operation for action in slot)
    if len(slot) == 1 or operations == (Operation.FORWARD, Operation.BACKWARD):
        return slot
    raise DpprofError(f"{text[:60]!r} is not a slot; an overlapped pair is a forward & a backward")


def slot_text(slot: Slot) -> str:
    """The text form of a slot, read back by `parse_slot`."""
    return "&".join(str(action) for action in slot)


def slot_operation(slot: Slot) -> str:
    """``F``, ``B``, ``I``, ``W``, or ``F&B`` for an overlapped pair."""
    return OVERLAPPED_PAIR if len(slot) == 2 else slot[0].operation.value


def slot_kind(slot: Slot) -> tuple[tuple[Operation, int], ...]:
    """What decides how long a slot takes on its rank: its operations and directions."""
    return tuple((action.operation, action.direction) for action in slot)
