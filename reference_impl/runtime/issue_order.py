"""The order in which the host issues a slot's components, where issuing one makes it wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from dpprof.schedules.components import Lane, Program


@lru_cache(maxsize=256)
def issue_order(program: Program, waits: tuple[int, ...]) -> Sequence[int]:
    """Positions of `program`, those in `waits` as late as what comes after them allows.

    A step that makes the host wait (an all-to-all whose sizes the device has to tell) would leave
    the compute stream to run dry if the compute that does not need it were not issued first.
    Every lane still runs its steps in the order of the program, so expert-parallel ranks agree.
    """
    order: list[int] = []
    held: dict[Lane, list[int]] = {lane: [] for lane in Lane}

    def issue(position: int) -> None:
        lane = held[program[position].lane]
        if position in lane:  # and with it everything before it on its lane
            for before in lane[: lane.index(position) + 1]:
                lane.remove(before)
                issue_one(before)
        elif position not in issued:
            issue_one(position)

    def issue_one(position: int) -> None:
        for before in program[position].after:
            issue(before)
        issued.add(position)
        order.append(position)

    issued: set[int] = set()
    for position, step in enumerate(program):
        if position in waits or held[step.lane]:
            held[step.lane].append(position)
        else:
            issue(position)
    for lane in held.values():
        while lane:
            issue(lane[-1])
    return tuple(order)
