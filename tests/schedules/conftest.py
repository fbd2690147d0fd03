"""Building blocks of the schedule tests: schedules written by hand as text, and sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dpprof.schedules.actions import parse_slot
from dpprof.schedules.placements import one_stage
from dpprof.schedules.schedule import Placement, Schedule


@pytest.fixture
def written() -> Callable[..., Schedule]:
    """Make a schedule from a line of slots per rank; one stage per rank unless said otherwise."""

    def build(*lines: str, micro_batches: int = 2, placement: Placement | None = None) -> Schedule:
        ranks = tuple(tuple(map(parse_slot, line.split())) for line in lines)
        return Schedule("by hand", micro_batches, placement or one_stage(len(ranks)), ranks)

    return build
