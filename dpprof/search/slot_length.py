"""How long a slot of the search takes, from a timing."""

from __future__ import annotations

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Slot
from dpprof.search.problem import Length
from dpprof.simulate.timing import Timing

FORBIDDEN_NS = 10**15
"""Length of an operation that the costs do not know: 11 days, which no order is better with."""


def slot_lengths(timing: Timing) -> Length:
    """What each slot takes; what the costs do not know takes `FORBIDDEN_NS`."""

    def length(pp_rank: int, slot: Slot) -> int:
        try:
            return timing.of_slot(pp_rank, slot).length_ns
        except DpprofError:  # costs without it: no order may use it
            return FORBIDDEN_NS

    return length
