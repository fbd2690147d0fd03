"""Every use of memory across lanes is ordered by an event, and known to the allocator."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from dpprof.reference.executors import model_chunk as chunk
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.model import streams, wires
from dpprof.reference.runtime import channels as channels_module
from dpprof.reference.runtime.channels import Channels, in_order_of_production
from dpprof.reference.runtime.issue_order import issue_order
from dpprof.reference.runtime.lanes import COMPUTE
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.reference.runtime.race_detector import RaceDetector
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.actions import parse_slot
from dpprof.schedules.components import Lane, component_program, slot_program
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")
ALONE = Groups(ep=None, mirror=None, edges={})
KEEPERS = (streams, wires, chunk, channels_module)


class LoopWire:
    """Takes what is sent, gives tensors of its own: one rank runs as if the others were there."""

    def __init__(self, message):
        self._message = message

    def send(self, tensor, edge):
        channels_module.keep_for_current_stream(tensor)
        tensor.clone()

    def receive(self, edge, lane, label, after=()):
        shape, dtype = self._message
        return lane.submit(label, lambda: torch.ones(shape, dtype=dtype), after)


@pytest.fixture
def races(monkeypatch):
    detector = RaceDetector()
    for module in KEEPERS:
        if hasattr(module, "keep_for_current_stream"):
            monkeypatch.setattr(module, "keep_for_current_stream", detector.keep)
    return detector


def run_rank(races, config, schedule, pp_rank, steps=2):
    mesh = Mesh(schedule.pp, 1, pp_rank)
    executor = ModelExecutor(config, schedule, mesh, ALONE, CPU)
    wire = LoopWire(executor.message)
    channels = Channels(schedule, mesh, wire, races.make_lane)
    runtime = Runtime(
        schedule,
        mesh,
        executor,
        channels,
        races.make_lane,
        lambda slot: slot_program(slot, executor.layers),
    )
    with races:
        for step in range(steps):
            runtime.run_step(step)
        runtime.close()
    return executor


@pytest.mark.parametrize(
    ("name", "pp", "micro_batches"),
    [("dualpipe", 4, 10), ("1f1b", 4, 6), ("zbv", 2, 4), ("dualpipev", 2, 6)],
)
def test_no_schedule_races(name, pp, micro_batches, exact_config, races):
    schedule = make_schedule(name, pp, micro_batches)
    config = replace(exact_config, optimizer="adamw")
    run_rank(races, config, schedule, 1)
    assert races.found == []
    assert races.crossings > 100


@pytest.mark.parametrize(
    "change",
    [
        {"routing": "balanced", "looped_ep": 4},
        {"capacity_factor": 1.25},
        {"expert_placement": ((0, 1, 2, 3, 4, 5, 6, 7, 3, 0),) * 4, "bias_speed": 0.01},
        {"dtype": "bfloat16"},  # with master weights and grouped products
    ],
)
def test_no_feature_races(change, exact_config, races):
    config = replace(exact_config, layers=4, optimizer="adamw", **change)
    run_rank(races, config, make_schedule("dualpipe", 2, 6), 0)
    assert races.found == []
    assert races.crossings > 100


@pytest.mark.parametrize(
    ("change", "asks"),
    [({}, True), ({"routing": "balanced"}, False), ({"capacity_factor": 1.0}, False)],
)
def test_known_counts_leave_the_device_alone(change, asks, exact_config, races, monkeypatch):
    """Whatever makes the host wait for a GPU goes through one of these."""
    asked = []

    def ask(name):
        plain = getattr(torch.Tensor, name)

        def noted(self, *arguments):
            asked.append(name)
            return plain(self, *arguments)

        return noted

    for name in ("tolist", "item", "__bool__", "__int__", "__float__", "cpu", "numpy", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, ask(name))
    monkeypatch.setattr(ModelExecutor, "end_step", lambda self: None)
    run_rank(races, replace(exact_config, **change), make_schedule("dualpipe", 2, 6), 0)
    assert set(asked) == ({"tolist"} if asks else set())


def test_late_issue_computes_the_same_without_races(
    exact_config, races, monkeypatch, reference, relative_error
):
    """As on a GPU, where the host waits for every dispatch of a forward."""

    def waits(self, index):
        step = self._program[index]
        return (step.component, step.part.value) == ("dispatch", "F")

    monkeypatch.setattr(ModelExecutor, "makes_the_host_wait", waits)
    executor = run_rank(races, exact_config, make_schedule("dualpipev", 1, 4), 0, steps=1)
    assert races.found == []
    expected = reference(exact_config, 4)
    assert relative_error(executor.gradients(), expected.gradients) < 1e-10


# The detector itself.


def test_a_read_without_an_event_is_a_race(races):
    compute, side = races.make_lane(COMPUTE), races.make_lane("side")
    with races:
        made = compute.submit(nullcontext, lambda: torch.ones(3))
        side.submit(nullcontext, lambda: made.value + 1)
    assert races.found == [
        "aten.add.Tensor on side: memory of aten.ones.default, written on compute, "
        "and no event between"
    ]


def test_an_event_orders_and_is_passed_on(races):
    first, second, third = (races.make_lane(name) for name in ("first", "second", "third"))
    with races:
        made = first.submit(nullcontext, lambda: torch.ones(3))
        between = second.submit(nullcontext, lambda: None, [made])
        third.submit(nullcontext, lambda: made.value + 1, [between])
    assert races.found == []


def test_a_write_over_a_read_is_a_race(races):
    compute, side = races.make_lane(COMPUTE), races.make_lane("side")
    with races:
        made = compute.submit(nullcontext, lambda: torch.ones(3))
        side.submit(nullcontext, lambda: made.value + 1, [made])
        compute.submit(nullcontext, lambda: made.value.add_(1))
    assert races.found == [
        "aten.add_.Tensor on compute: memory of aten.ones.default, used on side, "
        "and no event between"
    ]


@pytest.mark.parametrize("kept", [False, True])
def test_memory_that_goes_back_too_early(races, kept):
    compute, side = races.make_lane(COMPUTE), races.make_lane("side")

    def use(tensor):
        if kept:
            races.keep(tensor)
        return tensor + 1

    def make_and_forget():
        made = compute.submit(nullcontext, lambda: torch.ones(3))
        side.submit(nullcontext, lambda: use(made.value), [made])

    with races:
        make_and_forget()
        races.sweep()
    expected = ["memory of aten.ones.default goes back to compute while side uses it"]
    assert races.found == ([] if kept else expected)


# What the runtime relies on.


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_pairs_gradient_is_there_before_its_output(layers):
    program = component_program("F&B", layers)
    made = {
        step.member: position
        for position, step in enumerate(program)
        if (step.component, step.part.value, step.layer)
        in (("output", "F", layers - 1), ("attention", "I", 0))
    }
    assert made[1] < made[0]
    slot = parse_slot("F0.1&B1.0")
    assert list(in_order_of_production([slot])) == [slot[1], slot[0]]


def test_what_makes_the_host_wait_is_issued_late():
    program = component_program("F&B", 1)
    text = [f"{step.component}({step.part})" for step in program]
    waits = tuple(position for position, name in enumerate(text) if name == "dispatch(F)")
    assert [text[position] for position in issue_order(program, waits)] == [
        *("output(I)", "combine(I)", "output(W)", "attention(F)", "mlp(I)"),
        *("mlp(W)", "dispatch(F)", "mlp(F)", "dispatch(I)", "attention(I)", "attention(W)"),
        *("combine(F)", "output(F)"),
    ]


@pytest.mark.parametrize("operation", ["F", "B", "I", "W", "F&B"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_every_order_of_issue_keeps_lanes_and_dependencies(operation, layers):
    program = component_program(operation, layers)
    waits = tuple(
        position
        for position, step in enumerate(program)
        if (step.component, step.part.value) == ("dispatch", "F")
    )
    order = issue_order(program, waits)
    assert sorted(order) == list(range(len(program)))
    place = {position: number for number, position in enumerate(order)}
    for position, step in enumerate(program):
        assert all(place[before] < place[position] for before in step.after)
    for lane in Lane:
        own = [position for position in order if program[position].lane is lane]
        assert own == sorted(own)
    assert issue_order(program, ()) == tuple(range(len(program)))
