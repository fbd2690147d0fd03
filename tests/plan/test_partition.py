"""Layers shared among stages: against every cut there is."""

from __future__ import annotations

from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.costs.load import load_costs
from dpprof.costs.profile import LayerCost
from dpprof.costs.recompute import recomputed_bytes, with_recompute
from dpprof.costs.stages import stage_chunks
from dpprof.errors import DpprofError
from dpprof.plan.answer import answer
from dpprof.plan.partition import balanced, layer_times, neighbours
from dpprof.plan.predict import Predictor
from dpprof.plan.question import Question
from dpprof.schedules.registry import make_schedule
from dpprof.search.candidate import candidate
from dpprof.simulate.timing import list_schedule, slot_template

COSTS = load_costs("deepseek-v3")
HEAVY = LayerCost(component_ns={"F": {"mlp": 30_000_000}, "W": {"mlp": 25_000_000}})
HEAD = LayerCost(component_ns={"F": {"output": 60_000_000}, "I": {"output": 70_000_000}})
MODEL = msgspec.structs.replace(
    COSTS, layers=1, model=[LayerCost(count=5), HEAVY, HEAVY, LayerCost(count=5), HEAD]
)


def cuts(layers, stages):
    for inner in combinations(range(1, layers), stages - 1):
        yield tuple(end - start for start, end in pairwise((0, *inner, layers)))


def longest(times, cut):
    ends = [0]
    for count in cut:
        ends.append(ends[-1] + count)
    return [sum(times[start:end]) for start, end in pairwise(ends)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=9), st.integers(1, 9))
def test_no_cut_has_a_shorter_longest_stage_nor_one_as_short_that_is_more_even(times, stages):
    if len(times) < stages:
        with pytest.raises(DpprofError, match="cannot be shared"):
            balanced(times, stages)
        return
    every = [longest(times, cut) for cut in cuts(len(times), stages)]
    best = min((max(one), sum(length**2 for length in one)) for one in every)
    own = longest(times, balanced(times, stages))
    assert (max(own), sum(length**2 for length in own)) == best


def test_neighbours_move_one_layer():
    assert set(neighbours((1, 3, 1))) == {(2, 2, 1), (1, 2, 2)}


def test_layers_that_do_not_divide_are_shared_instead_of_left_out():
    rows = answer(
        Question(ranks=4, costs=COSTS, layers=13, micro_batches=(8,), pps=(4,), names=("1f1b",))
    ).rows
    assert sorted(rows[0].stage_layers) == [3, 3, 3, 4]
    assert rows[0].layers == 4


def test_the_first_row_of_an_uneven_model_is_that_of_every_cut():
    question = Question(
        ranks=4, costs=MODEL, layers=13, micro_batches=(8,), pps=(4,), names=("1f1b",)
    )
    row = answer(question).rows[0]
    schedule = make_schedule("1f1b", 4, 8)
    best = min(
        candidate(schedule, msgspec.structs.replace(MODEL, stage_layers=list(cut)), None).step_ns
        for cut in cuts(13, 4)
    )
    assert row.step_ns == pytest.approx(best, rel=0.001)
    assert sum(row.stage_layers) == 13
    even = Predictor(question).row(schedule, cut=(4, 3, 3, 3))
    assert row.step_ns < even.step_ns


def test_layer_times_are_those_of_the_layer_alone():
    times = layer_times(MODEL, 13)
    plain = sum(list_schedule(COSTS, operation, 1).length_ns for operation in ("F", "B"))
    assert times[0] == plain
    (heavy,) = stage_chunks(MODEL, 13)[5]
    assert times[5] == sum(slot_template(MODEL, one, (heavy,)).length_ns for one in ("F", "B"))


def test_recomputation_makes_the_forward_again_and_keeps_only_inputs():
    again = with_recompute(MODEL)
    for part in ("attention", "dispatch", "mlp", "combine"):
        forward, inputs = (COSTS.component_ns[one].get(part, 0) for one in ("F", "I"))
        assert again.component_ns["I"][part] == forward + inputs
    assert again.component_ns["W"] == COSTS.component_ns["W"]
    assert again.memory.activation_bytes == COSTS.message.bytes
    assert again.model[1].component_ns["I"]["mlp"] == COSTS.component_ns["I"]["mlp"] + 30_000_000
    assert again.model[-1].component_ns["I"]["output"] == 130_000_000
    assert recomputed_bytes(COSTS) == COSTS.memory.activation_bytes
    unit = with_recompute(msgspec.structs.replace(load_costs("unit"), message=COSTS.message))
    milliseconds = {key: ns // 10**6 for key, ns in unit.operation_ns.items()}
    assert milliseconds == {"F": 10, "I": 20, "W": 10, "B": 30, "F&B": 35}


def test_rows_with_recomputation_take_longer_and_hold_less():
    rows = answer(
        Question(
            ranks=4,
            costs=COSTS,
            layers=16,
            micro_batches=(16,),
            pps=(4,),
            names=("1f1b",),
            recompute=("none", "full"),
        )
    ).rows
    assert [row.recompute for row in rows] == ["none", "full"]
    plain, again = rows
    assert again.step_ns > 1.2 * plain.step_ns
    chunk = 4 * COSTS.message.bytes
    fullest = max(again.peak_bytes)
    static = max(plain.peak_bytes) - 4 * 4 * COSTS.memory.activation_bytes
    assert fullest == static + 4 * chunk + COSTS.memory.activation_bytes
    with pytest.raises(DpprofError, match="recomputation cannot be planned"):
        with_recompute(load_costs("unit"))
