"""Injected faults: what can be written, and what becomes of costs and simulated slots."""

from __future__ import annotations

import msgspec
import pytest

from dpprof.costs.faults import NAMES, read_fault, with_faults
from dpprof.costs.load import costs_to_json, load_costs, read_costs
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.components import COMMUNICATION_COMPONENTS, Lane
from dpprof.simulate.timing import ANY_RANK, timing_from_profile

COSTS = CostProfile(
    name="small",
    component_ns={
        "F": {"attention": 40, "dispatch": 30, "mlp": 20, "combine": 30},
        "I": {"attention": 50, "dispatch": 30, "mlp": 30, "combine": 30},
        "W": {"attention": 20, "mlp": 10},
    },
    message=MessageCost(bytes=100, latency_ns=10, bytes_per_second=1e9),
    memory=MemoryCost(activation_bytes=1000, parameter_bytes=5),
)


def under(*texts: str, pp_rank: int = 0) -> CostProfile:
    return with_faults(COSTS, [read_fault(text, 4) for text in texts], pp_rank)


def test_a_slow_rank_computes_longer_and_communicates_alike() -> None:
    slow = under("compute@2=1.5x", pp_rank=2)
    assert slow.component_ns["F"] == {"attention": 60, "dispatch": 30, "mlp": 30, "combine": 30}
    assert slow.component_ns["W"] == {"attention": 30, "mlp": 15}
    assert msgspec.structs.replace(slow, component_ns=COSTS.component_ns) == COSTS
    assert under("compute@2=1.5x", pp_rank=1) == COSTS
    whole = CostProfile(name="whole", operation_ns={"F": 10, "B": 21})
    (fault,) = [read_fault("compute=2", 1)]
    assert with_faults(whole, [fault], 0).operation_ns == {"F": 20, "B": 42}


def test_one_component_messages_and_activations_by_a_factor() -> None:
    assert under("dispatch=2x").component_ns["I"]["dispatch"] == 60
    assert under("dispatch=2x").component_ns["I"]["combine"] == 30
    assert under("message=2x").message.duration_ns == 2 * COSTS.message.duration_ns
    assert under("activations=1.2x").memory == MemoryCost(activation_bytes=1200, parameter_bytes=5)


def test_faults_add_up() -> None:
    both = under("sync=2us", "sync@0,3=500ns", "serial=dispatch", "serial=combine")
    assert both.slot_delay_ns == 2500
    assert both.serial_components == ["combine", "dispatch"]


def test_nothing_runs_beside_a_serial_component() -> None:
    template = timing_from_profile(under("serial=dispatch")).template(ANY_RANK, "F&B")
    spans = [(event.start_ns, event.end_ns) for event in template.events]
    for event in template.events:
        beside = [span for span in spans if event.start_ns < span[1] and span[0] < event.end_ns]
        alone = event.component == "dispatch"
        assert not alone or beside == [(event.start_ns, event.end_ns)]
    plain = timing_from_profile(COSTS).template(ANY_RANK, "F&B")
    assert template.length_ns > plain.length_ns
    assert sum(end - start for start, end in spans) == sum(
        event.end_ns - event.start_ns for event in plain.events
    )


def test_a_slot_with_a_delay_begins_late_and_is_longer() -> None:
    plain = timing_from_profile(COSTS).template(ANY_RANK, "B")
    delayed = timing_from_profile(under("sync=7ns")).template(ANY_RANK, "B")
    assert delayed.length_ns == plain.length_ns + 7
    assert [(one.start_ns - 7, one.end_ns - 7) for one in delayed.events] == [
        (one.start_ns, one.end_ns) for one in plain.events
    ]
    assert {event.lane for event in delayed.events} == set(Lane)


def test_a_profile_with_faults_is_a_profile() -> None:
    faulty = under("sync=7us", "serial=combine", "message=3x")
    assert read_costs(costs_to_json(faulty).encode(), "costs.json") == faulty
    with pytest.raises(DpprofError, match="unknown key 'serial_components: mlpp'"):
        read_costs(b'{"name": "x", "serial_components": ["mlpp"]}', "costs.json")
    with pytest.raises(DpprofError, match="nothing in it takes any time"):
        read_costs(b'{"name": "x", "slot_delay_ns": 5}', "costs.json")
    assert load_costs("deepseek-v3").serial_components == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not of the form NAME[@RANK"),
        ("compute", "is not of the form"),
        ("compute@=1x", "is not of the form"),
        ("comput=1.2x", "no fault 'comput'; did you mean 'compute'? known are compute, att"),
        ("compute@4=1.2x", "there is no pipeline rank 4; choose from 0 to 3"),
        ("compute@99999999999999999999=1.2x", "there is no pipeline rank"),
        ("compute=0x", "'0x' is not a factor"),
        ("compute=1e9", "'1e9' is not a factor"),
        ("compute=9999x", "'9999x' is not a factor"),
        ("message@1=2x", "messages belong to two ranks"),
        ("serial=mlp", "'mlp' does not communicate; give dispatch or combine"),
        ("sync=1.2x", "'1.2x' is not a time such as"),
        ("sync=999999999s", "is longer than 1000 seconds"),
    ],
)
def test_what_is_wrong_is_told(text: str, says: str) -> None:
    with pytest.raises(DpprofError) as error:
        read_fault(text, 4)
    assert str(error.value).startswith(f"--inject {text}: ")
    assert says in str(error.value)


def test_every_component_can_be_made_slower() -> None:
    assert {component.value for component in COMMUNICATION_COMPONENTS} < set(NAMES)
