"""Who gets a token, in which order rows travel, and what balances the experts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.reference.model.exchange import known_plan, plan_exchange
from dpprof.reference.model.expert_copies import add_up_copies, make_copies
from dpprof.reference.model.moe import plan_routing, rows_to_send, weighted_sum
from dpprof.reference.model.operators import PLAIN
from dpprof.reference.model.presets import preset, with_sizes
from dpprof.reference.model.routing import (
    balanced_choice,
    balanced_counts,
    best_experts,
    choose_experts,
    update_bias,
)

CPU = torch.device("cpu")
TINY = preset("tiny")


def best_by_hand(scores, groups, top_groups, top_k):
    """Sorted lists of one token, as the report says it."""
    size = len(scores) // groups
    members = [range(g * size, (g + 1) * size) for g in range(groups)]
    worth = [sum(sorted((scores[e] for e in own), reverse=True)[:2]) for own in members]
    best = sorted(range(groups), key=lambda g: -worth[g])[:top_groups]
    allowed = [expert for group in best for expert in members[group]]
    return sorted(sorted(allowed, key=lambda e: -scores[e])[:top_k])


@given(
    st.integers(0, 2**31), st.sampled_from([(1, 1, 3), (4, 2, 3), (4, 4, 5), (2, 1, 4), (8, 3, 3)])
)
def test_the_best_of_the_best_groups(seed, sizes):
    groups, top_groups, top_k = sizes
    config = replace(TINY, expert_groups=groups, top_groups=top_groups, top_k=top_k)
    scores = torch.rand(5, 8, generator=torch.Generator().manual_seed(seed))
    found = best_experts(scores, config)
    assert [sorted(token) for token in found.tolist()] == [
        best_by_hand(token, groups, top_groups, top_k) for token in scores.tolist()
    ]


def test_bias_has_a_say_in_who_is_chosen_and_not_in_how_much():
    config = replace(TINY, top_k=2, route_scale=2.5)
    x = torch.eye(8, dtype=torch.float64)
    router = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    bias = torch.zeros(8, dtype=torch.float64)
    bias[3] = 2.0  # more than any sigmoid
    choice = choose_experts(x, router, bias, config, PLAIN)
    assert (choice.experts == 3).any(dim=-1).all()
    scores = torch.sigmoid(x @ router.T).gather(1, choice.experts)
    torch.testing.assert_close(choice.weights, 2.5 * scores / scores.sum(-1, keepdim=True))


@given(st.integers(1, 40), st.integers(1, 8))
def test_dealt_out_experts_are_even_and_their_counts_known(tokens, top_k):
    config = replace(TINY, top_k=top_k)
    chosen = balanced_choice(tokens, config, CPU)
    counts = chosen.flatten().bincount(minlength=8).tolist()
    assert counts == balanced_counts(tokens, config)
    assert max(counts) - min(counts) <= 1
    assert all(len(set(token)) == top_k for token in chosen.tolist())


def test_bias_balances_experts_without_a_loss():
    config = replace(TINY, top_k=2)
    generator = torch.Generator().manual_seed(6)
    scores = torch.rand(500, 8, generator=generator) + torch.linspace(0, 0.5, 8)
    bias = torch.zeros(8)

    def skew():
        load = best_experts(scores + bias, config).flatten().bincount(minlength=8)
        return load, (load.max() / load.float().mean()).item()

    before = skew()[1]
    for _ in range(100):
        update_bias(bias, skew()[0], 0.005)
    assert before > 2
    assert skew()[1] < 1.1


def test_a_step_of_the_bias_by_hand():
    bias = torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    update_bias(bias, torch.tensor([[9, 3, 0], [2, 2, 2]]), 0.25)
    assert bias.tolist() == [[-0.25, 0.75, 0.25], [0.0, 0.0, 0.0]]


def moved_by_hand(chosen, slots, capacity):
    """The token copy in each place; None where it is free."""
    places = [[] for _ in range(slots)]
    for row, slot in enumerate(chosen):
        if not capacity or len(places[slot]) < capacity:
            places[slot].append(row)
    for own in places:
        own.extend([None] * (capacity - len(own)))
    return [row for own in places for row in own]


@settings(max_examples=60)
@given(st.data(), st.integers(1, 6), st.integers(1, 3), st.integers(0, 4))
def test_rows_travel_to_their_places_and_back(data, tokens, top_k, capacity):
    slots = 4
    chosen = torch.tensor([data.draw(st.permutations(range(slots)))[:top_k] for _ in range(tokens)])
    generator = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    weights = torch.rand(tokens, top_k, dtype=torch.float64, generator=generator)
    routing = plan_routing(chosen, slots, capacity)
    rows = rows_to_send(x, routing)
    places = moved_by_hand(chosen.flatten().tolist(), slots, capacity)
    by_hand = (
        torch.stack([torch.zeros(3) if row is None else x[row // top_k].detach() for row in places])
        if places
        else torch.zeros(0, 3)
    )
    assert torch.equal(rows.detach(), by_hand.to(torch.float64))
    assert routing.counts.tolist() == chosen.flatten().bincount(minlength=slots).tolist()

    merged = weighted_sum(2 * rows, weights, routing)
    kept = torch.zeros(tokens * top_k, dtype=torch.float64)
    kept[[row for row in places if row is not None]] = 1
    expected = 2 * x * (kept.view(tokens, top_k) * weights).sum(1, keepdim=True)
    torch.testing.assert_close(merged, expected)
    probe = torch.randn(tokens, 3, dtype=torch.float64, generator=generator)
    found = torch.autograd.grad(merged, x, probe)
    torch.testing.assert_close(found, torch.autograd.grad(expected, x, probe))


def test_known_plans_are_what_would_be_exchanged():
    counts = [3, 1, 2, 2, 0, 4]
    exchanged = plan_exchange(torch.tensor(counts), None)
    known = known_plan(counts, slice(0, 6), 1, CPU)
    assert (known.sent, known.counts, known.groups.rows) == ([12], [counts], counts)
    assert (exchanged.sent, exchanged.counts, exchanged.groups.rows) == ([12], [counts], counts)
    assert known.groups.ends.tolist() == exchanged.groups.ends.tolist() == [3, 4, 6, 8, 8, 12]


def test_one_rank_that_stands_for_three():
    counts = [3, 1, 2, 2, 0, 4]
    exchanged = plan_exchange(torch.tensor(counts), None, looped=3)
    known = known_plan(counts, slice(0, 2), 1, CPU, looped=3)
    for plan in (exchanged, known):
        assert plan.sent == plan.received == [4, 4, 4]
        assert plan.counts == [[3, 1], [2, 2], [0, 4]]
        assert plan.groups.rows == [5, 7]
        assert plan.groups.ends.tolist() == [5, 12]


def test_copies_of_an_expert_take_turns():
    copies = make_copies((2, 0, 1, 0, 0), 3, CPU)
    chosen = torch.tensor([[0, 1], [0, 2], [0, 1], [0, 2]])
    assert copies.slots_of(chosen).tolist() == [[1, 2], [3, 0], [4, 2], [1, 0]]


def test_gradients_of_copies_add_up():
    gradient = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    add_up_copies(gradient, (0, 1, 0, 2), range(4), lambda total: None)
    assert gradient.tolist() == [[5.0], [2.0], [5.0], [8.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("routing=random", "routing 'random' is not known; use one of scores, balanced"),
        ("dispatcher=pigeon", "use one of all-to-all, deepep, symmetric-memory"),
        ("looped_ep=3", "8 experts do not divide by expert_groups 1 and looped_ep 3"),
        ("top_groups=2", r"top_groups is 2; give 1 \(enough for top_k 2\) to 1"),
        ("capacity_factor=-1", "capacity_factor is -1.0; give a number from 0"),
        ("capacity_factor=nan", "capacity_factor is nan"),
        ("hidden=wide", "--set hidden=wide: hidden takes a whole number"),
        ("width=3", "--set width=3: give SIZE=VALUE, a size of bias_speed"),
        ("hidden", "--set hidden: give SIZE=VALUE"),
    ],
)
def test_bad_sizes_are_refused(change, message):
    with pytest.raises(DpprofError, match=message):
        with_sizes(TINY, [change])


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (((0, 1),), "expert_placement has 1 layers for a model of 16"),
        (((0, 1, 2, 3, 4, 5, 6, 6),) * 16, "must hold each of the 8 experts"),
        ((tuple(range(8)),) * 15 + ((*range(8), 0),), "in equally many slots"),
    ],
)
def test_bad_placements_are_refused(placement, message):
    with pytest.raises(DpprofError, match=message):
        replace(TINY, expert_placement=placement)


def test_deepseeks_layer_has_its_published_sizes():
    config = preset("deepseek-v3-layer")
    everything = replace(config, looped_ep=1)
    layer = sum(torch.Size(shape).numel() for shape in everything.shapes().values())
    # 256 experts of 3 x 7168 x 2048, one shared, the router; attention's 187 million.
    assert layer == 257 * 3 * 7168 * 2048 + 256 * 7168 + 187_107_328 + 2 * 7168
    assert config.held_experts == 4
    assert config.rows_sent == 8 * 4096
