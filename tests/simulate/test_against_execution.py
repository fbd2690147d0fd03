"""With free messages the simulator's slots are where a schedule's dependencies alone put them."""

from __future__ import annotations

import pytest

from dpprof.costs.profile import CostProfile
from dpprof.schedules.execution import execute
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_profile

DURATIONS = {"F": 10, "B": 19, "I": 12, "W": 8, "F&B": 23}


@pytest.mark.parametrize("name", schedule_names())
def test_both_put_every_slot_at_the_same_time(name):
    schedule = make_schedule(name, 4, 8)
    execution = execute(schedule, DURATIONS)
    timing = timing_from_profile(CostProfile(name="free", operation_ns=DURATIONS))
    step = simulate(schedule, timing)
    assert not execution.blocked
    for rank, spans in enumerate(execution.spans):
        assert [span.start for span in spans] == step.starts_ns[rank].tolist()
        assert [span.end for span in spans] == step.ends_ns[rank].tolist()
