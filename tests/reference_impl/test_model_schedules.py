"""Every schedule trains the same model: loss and gradients equal the unpipelined ones."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch

from dpprof.errors import DpprofError
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.runtime.in_process import walk_step
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.schedules.actions import Slot, parse_slot
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Placement, Schedule

ALONE = Groups(ep=None, mirror=None, edges={})

CASES = [
    (name, pp, 2 * pp)
    for name in ("gpipe", "1f1b", "zb1p", "dualpipev", "interleaved-1f1b", "zbv")
    for pp in (2, 4)
] + [
    ("dualpipe", 2, 8),
    ("dualpipe", 4, 16),
    ("chimera", 2, 6),
    ("combined-1f1b", 2, 4),
    ("looped-bfs", 2, 3),
    ("vhalf", 2, 4),
    ("vmin", 2, 4),
    ("zb2p", 4, 8),
]


def make_executors(config, schedule):
    return [
        ModelExecutor(config, schedule, Mesh(schedule.pp, 1, rank), ALONE, torch.device("cpu"))
        for rank in range(schedule.pp)
    ]


def summed_gradients(executors):
    """What the mirror reduction of real processes gives: copies of a stage added up."""
    total = {}
    for executor in executors:
        for name, value in executor.gradients().items():
            total[name] = total[name] + value if name in total else value
    return total


@pytest.mark.parametrize(("name", "pp", "micro_batches"), CASES)
def test_gradients_equal_the_unpipelined_model(
    name, pp, micro_batches, exact_config, reference, relative_error
):
    schedule = make_schedule(name, pp, micro_batches)
    executors = make_executors(exact_config, schedule)
    walk_step(schedule, executors)
    expected = reference(exact_config, micro_batches)
    assert relative_error(summed_gradients(executors), expected.gradients) < 1e-10
    loss = sum(executor.own_loss for executor in executors)
    assert loss == pytest.approx(expected.loss, rel=1e-12)


@pytest.mark.parametrize("feature", ["balanced", "capacity", "groups"])
@pytest.mark.parametrize(
    ("name", "micro_batches"),
    [(name, 4) for name in ("gpipe", "1f1b", "zb1p", "dualpipev", "interleaved-1f1b", "zbv")]
    + [("dualpipe", 8)],
)
def test_every_feature_in_every_schedule(
    name, micro_batches, feature, features, reference, relative_error
):
    schedule = make_schedule(name, 2, micro_batches)
    executors = make_executors(features[feature], schedule)
    walk_step(schedule, executors)
    expected = reference(features[feature], micro_batches)
    assert relative_error(summed_gradients(executors), expected.gradients) < 1e-10


def by_hand(*texts: str) -> Schedule:
    """A schedule of one stage, for the smallest of cases."""
    slots: tuple[Slot, ...] = tuple(parse_slot(text) for text in texts)
    return Schedule("by hand", 2, Placement(((0,),), (0,)), (slots,))


@pytest.mark.parametrize(
    "slots",
    [
        ("F0.0", "B0.0", "F0.1", "B0.1"),
        ("F0.0", "F0.1&B0.0", "B0.1"),
        ("F0.0", "F0.1", "I0.1", "I0.0", "W0.0", "W0.1"),
        ("F0.0", "I0.0", "F0.1", "W0.0", "I0.1", "W0.1"),
    ],
)
def test_order_of_the_parts_does_not_matter(slots, exact_config, reference, relative_error):
    config = replace(exact_config, layers=2)
    executors = make_executors(config, by_hand(*slots))
    walk_step(by_hand(*slots), executors)
    expected = reference(config, 2).gradients
    assert relative_error(summed_gradients(executors), expected) < 1e-10


def test_weight_gradients_wait_for_their_part(exact_config):
    schedule = by_hand("F0.0", "I0.0")
    (executor,) = make_executors(replace(exact_config, layers=2), schedule)
    walk_step(schedule, [executor])
    by_part = {name: bool(value.any()) for name, value in executor.gradients().items()}
    assert {name for name, done in by_part.items() if done} == {
        name for name in by_part if "norm" in name
    }


def test_a_second_step_starts_from_clear_gradients(exact_config, relative_error):
    schedule = make_schedule("1f1b", 2, 2)
    twice, once = (make_executors(exact_config, schedule) for _ in range(2))
    walk_step(schedule, twice, step=0)
    walk_step(schedule, twice, step=1)
    walk_step(schedule, once, step=1)
    assert relative_error(summed_gradients(twice), summed_gradients(once)) == 0


def test_training_lowers_the_loss(exact_config):
    config = replace(exact_config, layers=2, optimizer="adamw", learning_rate=1e-2)
    schedule = make_schedule("1f1b", 2, 8)
    executors = make_executors(config, schedule)
    losses = []
    for step in range(12):
        walk_step(schedule, executors, step)
        losses.append([executor.end_step() for executor in executors][1])
    assert losses[-1] < 0.9 * losses[0]


def test_only_the_last_stage_knows_the_loss(exact_config):
    schedule = make_schedule("1f1b", 2, 2)
    executors = make_executors(exact_config, schedule)
    walk_step(schedule, executors)
    assert [executor.end_step() is None for executor in executors] == [True, False]


def live_tensors():
    # By type: asking every object in the process for its class sets off deprecation warnings.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]


def test_activations_are_freed_without_the_garbage_collector(exact_config):
    """Runs switch it off, so a reference cycle would fill the memory."""
    schedule = make_schedule("zbv", 2, 4)
    executors = make_executors(exact_config, schedule)
    walk_step(schedule, executors)
    gc.collect()
    before = len(live_tensors())
    gc.disable()
    try:
        for step in (1, 2):
            walk_step(schedule, executors, step)
        after = len(live_tensors())
    finally:
        gc.enable()
    assert after == before


def test_part_i_frees_what_part_w_does_not_need(exact_config):
    """Only inputs and output gradients of matrix products stay; attention's maps must not."""
    schedule = by_hand("F0.0", "I0.0", "W0.0")
    (executor,) = make_executors(replace(exact_config, layers=1), schedule)
    held = []
    finish = executor.finish_slot

    def count():
        gc.collect()
        held.append(sum(tensor.requires_grad for tensor in live_tensors()))
        return finish()

    executor.finish_slot = count
    walk_step(schedule, [executor])
    after_forward, after_input_gradient, after_weight_gradient = held
    assert after_forward > after_input_gradient == after_weight_gradient


def test_bytes_of_the_exchanges(exact_config):
    schedule = by_hand("F0.0", "F0.1", "B0.0", "B0.1")
    (executor,) = make_executors(replace(exact_config, layers=1), schedule)
    sent = []
    run = executor.run

    def note(index):
        step = executor._program[index]
        if step.component in ("dispatch", "combine"):
            sent.append(executor.communication_bytes(index))
        run(index)

    executor.run = note
    walk_step(schedule, [executor])
    tokens, top_k, hidden, itemsize = 16, 2, 32, 8
    assert sent == [tokens * top_k * hidden * itemsize] * 8


def test_place_says_what_a_rank_holds(exact_config):
    schedule = make_schedule("dualpipe", 2, 4)
    first, second = make_executors(replace(exact_config, optimizer="adamw"), schedule)
    assert (first.place().stages, second.place().stages) == ([0, 1], [1, 0])
    everything = 8 * exact_config.parameter_count()
    assert first.place().parameter_bytes == everything
    assert first.place().gradient_bytes == everything
    assert first.place().optimizer_bytes == 2 * everything


def test_layers_that_do_not_divide_are_refused(exact_config):
    schedule = make_schedule("1f1b", 3, 6)
    with pytest.raises(DpprofError, match="8 layers do not divide by the schedule's 3 stages"):
        make_executors(exact_config, schedule)
