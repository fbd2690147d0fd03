"""Slot templates: component programs on two lanes, operation costs, measured durations."""

from __future__ import annotations

import pytest

from dpprof.costs.load import load_costs
from dpprof.costs.profile import CostProfile
from dpprof.errors import DpprofError
from dpprof.schedules.components import Lane
from dpprof.simulate.timing import (
    OPERATIONS,
    SlotTemplate,
    TemplateEvent,
    timing_from_measured,
    timing_from_profile,
)

COMPUTE, COMMUNICATION = Lane.COMPUTE, Lane.COMMUNICATION

COMPONENTS = CostProfile(
    name="components",
    component_ns={
        "F": {"attention": 4, "dispatch": 3, "mlp": 5, "combine": 2},
        "I": {"attention": 4, "dispatch": 3, "mlp": 5, "combine": 2},
        "W": {"attention": 1, "mlp": 6},
    },
    pair_component_ns={"F": {"attention": 7}},
)


def lengths(timing, rank=0):
    return {operation: timing.template(rank, operation).length_ns for operation in OPERATIONS}


def test_a_forward_alone_exposes_its_messages():
    assert timing_from_profile(COMPONENTS).template(0, "F") == SlotTemplate(
        "F",
        14,
        (
            TemplateEvent(0, "F", "attention", 0, COMPUTE, 0, 4),
            TemplateEvent(0, "F", "dispatch", 0, COMMUNICATION, 4, 7),
            TemplateEvent(0, "F", "mlp", 0, COMPUTE, 7, 12),
            TemplateEvent(0, "F", "combine", 0, COMMUNICATION, 12, 14),
        ),
    )


def test_a_backward_hides_its_dispatch_under_weight_gradients():
    assert timing_from_profile(COMPONENTS).template(0, "B") == SlotTemplate(
        "B",
        18,
        (
            TemplateEvent(0, "I", "combine", 0, COMMUNICATION, 0, 2),
            TemplateEvent(0, "I", "mlp", 0, COMPUTE, 2, 7),
            TemplateEvent(0, "I", "dispatch", 0, COMMUNICATION, 7, 10),
            TemplateEvent(0, "W", "mlp", 0, COMPUTE, 7, 13),
            TemplateEvent(0, "I", "attention", 0, COMPUTE, 13, 17),
            TemplateEvent(0, "W", "attention", 0, COMPUTE, 17, 18),
        ),
    )


def test_a_pair_has_its_own_costs_and_hides_messages():
    # Compute lane: attention(F) 7, mlp(I) 5, mlp(W) 6, mlp(F) 5, attention(I) 4, attention(W) 1.
    template = timing_from_profile(COMPONENTS).template(0, "F&B")
    assert template.length_ns == 28
    assert template.events[1] == TemplateEvent(0, "F", "attention", 0, COMPUTE, 0, 7)


def test_a_free_component_gives_no_event_and_holds_its_place():
    profile = CostProfile(name="x", component_ns={"F": {"attention": 4, "mlp": 5, "combine": 2}})
    events = timing_from_profile(profile, 2).template(0, "F").events
    assert [(event.component, event.layer, event.start_ns, event.end_ns) for event in events] == [
        ("attention", 0, 0, 4),
        ("mlp", 0, 4, 9),
        ("combine", 0, 9, 11),
        ("attention", 1, 11, 15),
        ("mlp", 1, 15, 20),
        ("combine", 1, 20, 22),
    ]


def test_operation_costs_are_one_event_and_scale_with_layers():
    profile = CostProfile(name="x", layers=2, operation_ns={"F": 10, "I": 8, "W": 6})
    timing = timing_from_profile(profile, 3)
    assert lengths(timing) == {"F": 15, "B": 21, "I": 12, "W": 9, "F&B": 36}
    assert timing.template(5, "B").events == (TemplateEvent(0, "", "", -1, COMPUTE, 0, 21),)
    assert timing.template(5, "F&B").events == (TemplateEvent(-1, "", "", -1, COMPUTE, 0, 36),)


def test_operations_win_over_components():
    profile = CostProfile(name="x", operation_ns={"F": 100}, component_ns=COMPONENTS.component_ns)
    assert lengths(timing_from_profile(profile)) == {"F": 100, "B": 18, "I": 14, "W": 7, "F&B": 25}


def test_measured_durations_differ_by_rank():
    timing = timing_from_measured({(0, "F"): 1, (0, "B"): 2, (1, "F"): 4, (1, "I"): 5, (1, "W"): 6})
    assert timing.template(0, "F&B").length_ns == 3
    assert timing.template(1, "F&B").length_ns == 15
    assert timing.message.duration_ns == 0
    with pytest.raises(DpprofError, match="no time for W on pipeline rank 0"):
        timing.template(0, "W")


def test_a_profile_without_an_operation_says_so():
    timing = timing_from_profile(CostProfile(name="short", operation_ns={"F": 1, "B": 2}))
    with pytest.raises(DpprofError, match="costs short: no time for I on pipeline rank 3"):
        timing.template(3, "I")


def test_a_chunk_has_layers():
    with pytest.raises(DpprofError, match="layers is 0"):
        timing_from_profile(COMPONENTS, 0)


def test_built_in_unit_costs():
    milliseconds = {"F": 10, "B": 20, "I": 10, "W": 10, "F&B": 25}
    unit = timing_from_profile(load_costs("unit"))
    assert lengths(unit) == {key: value * 10**6 for key, value in milliseconds.items()}
    milliseconds = {"F": 16, "B": 21.5, "I": 16, "W": 10, "F&B": 30}  # as its source says
    components = timing_from_profile(load_costs("unit-components"))
    assert lengths(components) == {key: int(value * 10**6) for key, value in milliseconds.items()}


def test_deepseek_costs_foretell_the_pair_they_were_measured_in():
    # The published profile spans 129.01 ms; the rest is idle time between kernels.
    pair = timing_from_profile(load_costs("deepseek-v3")).template(0, "F&B")
    assert pair.length_ns == pytest.approx(129.01e6, rel=0.03)
