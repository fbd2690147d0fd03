"""The mathematics of a layer against slow, obvious twins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.reference.model.attention import attention, rotary_table, rotate
from dpprof.reference.model.exchange import ExchangePlan
from dpprof.reference.model.grouped import RowGroups, grouped_linear
from dpprof.reference.model.layer import before_dispatch, merge, mlp
from dpprof.reference.model.moe import experts
from dpprof.reference.model.operators import PLAIN, deferred, run_weight_parts
from dpprof.reference.model.parameters import make_parameters
from dpprof.reference.model.segment import run_segment
from dpprof.reference.model.stage import make_stage
from dpprof.reference.model.unpipelined import plan_here, unpipelined_step

CPU = torch.device("cpu")


def row_groups(rows):
    return RowGroups(rows, torch.tensor(rows).cumsum(0).to(torch.int32))


def swiglu(x, gate_up, down):
    gate, up = (gate_up @ x).chunk(2)
    return down @ (F.silu(gate) * up)


def moe_of_one_token(x, weights, top_k):
    """Mixture of experts of a single token, as the papers write it."""
    scores = torch.sigmoid(weights["router"] @ x)
    chosen = sorted(range(len(scores)), key=lambda expert: -scores[expert].item())[:top_k]
    total = sum(scores[expert] for expert in chosen)
    result = swiglu(x, weights["shared_gate_up"], weights["shared_down"])
    for expert in chosen:
        routed = swiglu(x, weights["expert_gate_up"][expert], weights["expert_down"][expert])
        result = result + scores[expert] / total * routed
    return result


def test_mixture_of_experts_equals_token_by_token(exact_config):
    config = replace(exact_config, layers=1)
    layer = make_stage(config, range(1), range(8), CPU).layers[0]
    weights = layer.weights
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 16, 32, dtype=torch.float64, generator=generator, requires_grad=True)

    parts, routing = before_dispatch(x, layer, PLAIN)
    plan = plan_here(routing, config)
    results = mlp(parts["rows"], parts["local"], plan, weights, PLAIN)
    parts |= {"returned": results["results"], "shared": results["shared"]}
    actual = merge(parts, routing)

    slow = parts["residual"] + torch.stack(
        [moe_of_one_token(token, weights, 2) for token in parts["local"]]
    )
    torch.testing.assert_close(actual, slow, rtol=1e-12, atol=1e-12)
    wanted = [x, *weights.values()]
    probe = torch.randn(actual.shape, dtype=torch.float64, generator=generator)
    fast_gradients = torch.autograd.grad(actual, wanted, probe, retain_graph=True)
    slow_gradients = torch.autograd.grad(slow, wanted, probe)
    torch.testing.assert_close(fast_gradients, slow_gradients, rtol=1e-10, atol=1e-12)


def test_attention_looks_only_back(exact_config):
    weights = make_parameters(exact_config, range(1), range(8), CPU).layer(0)
    table = rotary_table(exact_config, CPU)
    x = torch.randn(1, 16, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[:, 9:] += 1
    with torch.no_grad():
        before, after = (attention(v, weights, table, PLAIN, 8) for v in (x, changed))
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[:, 9:], after[:, 9:])


def test_rotated_products_depend_on_the_distance_only(exact_config):
    table = rotary_table(exact_config, CPU)
    query, key = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    products = rotate(query.expand(16, 4), table) @ rotate(key.expand(16, 4), table).T
    for distance in range(-15, 16):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
def test_deferred_products_equal_plain_ones(rows):
    generator = torch.Generator().manual_seed(sum(rows))
    x = torch.randn(sum(rows), 3, dtype=torch.float64, generator=generator, requires_grad=True)
    shape = (len(rows), 2, 3)
    weight = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    output = torch.randn(sum(rows), 2, dtype=torch.float64, generator=generator)

    groups = row_groups(rows)
    plain = torch.autograd.grad(grouped_linear(x, weight, groups), (x, weight), output)
    parts = []
    (input_gradient,) = torch.autograd.grad(
        deferred(parts).grouped_linear(x, weight, groups), (x,), output
    )
    assert weight.grad is None
    run_weight_parts(parts)
    torch.testing.assert_close((input_gradient, weight.grad), plain)
    assert parts == []


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_received_rows_meet_their_expert(sources, local, data):
    counts = [[data.draw(st.integers(0, 3)) for _ in range(local)] for _ in range(sources)]
    owner = [expert for source in counts for expert, n in enumerate(source) for _ in range(n)]
    generator = torch.Generator().manual_seed(len(owner))
    weights = {
        "expert_gate_up": torch.randn(local, 4, 3, dtype=torch.float64, generator=generator),
        "expert_down": torch.randn(local, 3, 2, dtype=torch.float64, generator=generator),
    }
    rows = torch.randn(len(owner), 3, dtype=torch.float64, generator=generator)
    totals = [sum(source[expert] for source in counts) for expert in range(local)]
    plan = ExchangePlan([len(owner)], counts, row_groups(totals), torch.tensor(totals))
    actual = experts(rows, plan, weights, PLAIN)
    assert actual.shape == rows.shape
    for row, expert, result in zip(rows, owner, actual, strict=True):
        expected = swiglu(row, weights["expert_gate_up"][expert], weights["expert_down"][expert])
        torch.testing.assert_close(result, expected)


def test_a_segment_names_an_input_that_it_ignores():
    inputs = {"used": torch.ones(2), "ignored": torch.ones(2)}
    outputs, segment = run_segment(lambda values: {"out": values["used"] * 2}, inputs)
    assert not outputs["out"].requires_grad
    with pytest.raises(RuntimeError, match="'ignored'"):
        segment.backward({"out": torch.ones(2)})


def test_gradients_equal_finite_differences(exact_config, monkeypatch):
    """The unpipelined model itself, along one random direction through all parameters."""
    config = replace(exact_config, layers=2)
    base = unpipelined_step(config, 1)
    generator = torch.Generator().manual_seed(4)
    direction = {
        name: torch.randn(value.shape, dtype=value.dtype, generator=generator)
        for name, value in base.gradients.items()
    }

    def loss_at(distance):
        def shifted(*args):
            parameters = make_parameters(*args)
            with torch.no_grad():
                for name, value in parameters.named.items():
                    value += distance * direction[name]
            return parameters

        monkeypatch.setattr("dpprof.reference.model.stage.make_parameters", shifted)
        return unpipelined_step(config, 1).loss

    step = 1e-6
    slope = (loss_at(step) - loss_at(-step)) / (2 * step)
    expected = sum((direction[name] * value).sum() for name, value in base.gradients.items())
    assert slope == pytest.approx(expected.item(), rel=1e-6)
