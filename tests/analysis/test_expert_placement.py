"""Experts and their copies on ranks: complete, even, and never worse than in their own slots."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.analysis.experts.load import expert_figures
from dpprof.analysis.experts.placement import Machine, place_experts, rank_loads
from dpprof.analysis.observations import ExpertFigures, LayerLoad
from dpprof.errors import DpprofError
from dpprof.runs.manifest import Manifest


def test_placement_by_hand():
    """Node 0 gets groups 0 and 3, node 1 the others; expert 0 is the busiest of node 0."""
    load = [90, 10, 30, 20, 25, 15, 1, 9]
    machine = Machine(ranks=4, slots=12, groups=4, nodes=2)
    placement = place_experts(load, machine)
    nodes = [set(placement[:6]), set(placement[6:])]
    assert nodes == [{0, 1, 6, 7}, {2, 3, 4, 5}]
    assert placement.count(0) == 3
    assert rank_loads(load, placement, 4) == [61, 49, 47.5, 42.5]


def test_too_few_slots_are_refused():
    with pytest.raises(DpprofError, match="4 experts in 1 groups cannot be put in 3 slots"):
        place_experts([1, 1, 1, 1], Machine(3, 3))


sizes = st.sampled_from([(8, 4, 0, 1, 1), (8, 2, 4, 4, 2), (12, 6, 6, 3, 3), (8, 4, 8, 4, 3)])


@given(st.data(), sizes)
def test_every_expert_is_placed_and_ranks_are_full(data, size):
    experts, ranks, redundant, groups, nodes = size
    if ranks % nodes:
        nodes = 1
    load = data.draw(st.lists(st.integers(0, 100), min_size=experts, max_size=experts))
    slots = experts + redundant
    placement = place_experts(load, Machine(ranks, slots, groups, nodes))
    assert len(placement) == slots
    assert set(placement) == set(range(experts))
    assert sum(rank_loads(load, placement, ranks)) == pytest.approx(sum(load))
    if groups % nodes == 0:  # a group's experts and their copies stay on one node
        per_node, of_group = slots // nodes, experts // groups
        homes = {(slot // per_node, e // of_group) for slot, e in enumerate(placement)}
        assert len(homes) == groups


@given(st.lists(st.integers(1, 50), min_size=6, max_size=6))
def test_near_the_best_of_all_placements(load):
    """Two ranks, no copies: the greedy one against all of them (its bound is 7/6 for two bins)."""
    best = min(
        max(sum(load[e] for e in half), sum(load) - sum(load[e] for e in half))
        for half in itertools.combinations(range(6), 3)
    )
    placed = max(rank_loads(load, place_experts(load, Machine(2, 6)), 2))
    assert best <= placed <= 4 / 3 * best


@given(st.lists(st.integers(0, 100), min_size=8, max_size=8))
def test_copies_go_where_the_load_per_copy_is_largest(load):
    placement = place_experts(load, Machine(4, 12))
    copies = {expert: placement.count(expert) for expert in range(8)}
    for expert, count in copies.items():
        if count > 1:  # before its last copy nobody had more to do
            assert load[expert] / (count - 1) >= max(load[e] / copies[e] for e in copies)


def manifest(**fields):
    given = {"schema_version": 1, "source": "captured", "schedule": None, "device": "cpu"}
    return Manifest(**given, world_size=2, ranks=[], **fields)


def test_skew_by_layer():
    found = expert_figures(
        manifest(mesh={"pp": 1, "ep": 2}, expert_load=[[6, 2, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    )
    one = LayerLoad(
        layer=0,
        rows=8,
        busiest_expert=0,
        expert_skew=3.0,
        skew=2.0,
        placed_skew=1.5,
        copied_skew=1.0,
    )
    assert found == ExpertFigures(
        ranks=2,
        experts=4,
        slots=4,
        layers=[
            one,
            LayerLoad(
                layer=1,
                rows=4,
                busiest_expert=0,
                expert_skew=1.0,
                skew=1.0,
                placed_skew=1.0,
                copied_skew=1.0,
            ),
            LayerLoad(
                layer=2,
                rows=0,
                busiest_expert=0,
                expert_skew=None,
                skew=None,
                placed_skew=None,
                copied_skew=None,
            ),
        ],
    )


def test_the_placement_of_the_run_counts():
    load = [[6, 2, 0, 0]]
    own = {"expert_placement": [[0, 2, 3, 0, 1, 2]], "expert_groups": 1}
    found = expert_figures(manifest(mesh={"ep": 2}, expert_load=load, sizes=own))
    assert (found.slots, found.layers[0].skew) == (6, 5 / 4)


@pytest.mark.parametrize(
    "fields", [{}, {"expert_load": [[1, 2]]}, {"expert_load": [[1, 2]], "mesh": {"ep": 1}}]
)
def test_nothing_to_say(fields):
    assert expert_figures(manifest(**fields)) is None
    assert expert_figures(None) is None
