"""Gradients and updates in mixed precision, and grouped products by PyTorch's kernel."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from dpprof.reference.executors import model_chunk as chunk
from dpprof.reference.executors.model import ModelExecutor
from dpprof.reference.executors.optimizer_step import MasterAdamW
from dpprof.reference.model import grouped
from dpprof.reference.model.grouped import (
    RowGroups,
    add_grouped_weight_gradient,
    grouped_input_gradient,
    grouped_linear,
)
from dpprof.reference.model.presets import preset
from dpprof.reference.runtime.in_process import walk_step
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")
ALONE = Groups(ep=None, mirror=None, edges={})


def test_masters_go_on_where_rounding_would_stand_still():
    """Steps too small for bfloat16 add up in the master, exactly as in float32."""
    start = torch.linspace(0.5, 2, 8)
    rounded = start.to(torch.bfloat16).requires_grad_()
    rounded.main_grad = torch.full((8,), 0.125)
    plain = start.to(torch.bfloat16).float().requires_grad_()
    plain.grad = torch.full((8,), 0.125)
    master, twin = MasterAdamW([rounded], 1e-4), torch.optim.AdamW([plain], lr=1e-4)
    for _ in range(200):
        master.step()
        twin.step()
    assert torch.equal(rounded, plain.to(torch.bfloat16))
    assert (rounded.float() < start.to(torch.bfloat16).float()).all()
    assert master.state_bytes == 3 * 4 * 8


def test_state_of_full_precision_has_no_masters():
    value = torch.ones(8, dtype=torch.float64, requires_grad=True)
    assert MasterAdamW([value], 1e-3).state_bytes == 2 * 8 * 8
    assert MasterAdamW([{"params": []}], 1e-3).state_bytes == 0


def test_gradients_in_half_precision_add_up_in_float32(exact_config, reference, relative_error):
    """Experts dealt out, so that rounding cannot send a token elsewhere."""
    exact = replace(exact_config, layers=2, routing="balanced")
    config = replace(exact, dtype="bfloat16")
    schedule = make_schedule("dualpipe", 2, 8)
    executors = [ModelExecutor(config, schedule, Mesh(2, 1, r), ALONE, CPU) for r in range(2)]
    walk_step(schedule, executors)
    total = {}
    for executor in executors:
        for name, value in executor.gradients().items():
            assert value.dtype is torch.float32
            total[name] = total.get(name, 0) + value.double()
    expected = reference(exact, 8)
    assert relative_error(total, expected.gradients) < 0.05
    loss = sum(executor.own_loss for executor in executors)
    assert loss == pytest.approx(expected.loss, rel=2e-2)


def test_place_counts_masters_and_float32_gradients():
    config = replace(preset("tiny"), layers=2, dtype="bfloat16")
    executor = ModelExecutor(config, make_schedule("1f1b", 1, 1), Mesh(1, 1, 0), ALONE, CPU)
    values = executor.parameters().values()
    matrices = sum(value.numel() for value in values if value.dim() > 1)
    vectors = sum(value.numel() for value in values if value.dim() == 1)
    place = executor.place()
    assert place.parameter_bytes == 2 * matrices + 4 * vectors
    assert place.gradient_bytes == 4 * (matrices + vectors)
    assert place.optimizer_bytes == 12 * matrices + 8 * vectors


@pytest.mark.parametrize("rows", [[16, 0, 24], [0, 0, 8], [5, 3, 32]])
def test_the_grouped_kernel_equals_the_loop(rows, monkeypatch):
    generator = torch.Generator().manual_seed(7)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(torch.bfloat16)

    groups = RowGroups(rows, torch.tensor(rows).cumsum(0).to(torch.int32))
    x, weight, gradient = draw(sum(rows), 16), draw(3, 24, 16), draw(sum(rows), 24)

    def all_three():
        total = torch.ones(3, 24, 16)
        add_grouped_weight_gradient(total, gradient, x, groups)
        products = (
            grouped_linear(x, weight, groups),
            grouped_input_gradient(gradient, weight, groups),
        )
        return [value.float() for value in (*products, total)]

    if not grouped._suits(x, weight):
        pytest.skip("this torch has no grouped kernel for CPUs")
    by_kernel = all_three()
    monkeypatch.setattr(grouped, "_works", lambda device: False)
    torch.testing.assert_close(by_kernel, all_three(), rtol=2e-2, atol=2e-2)


def test_compiled_parts_equal_the_others(exact_config, reference, relative_error, monkeypatch):
    """Traced and differentiated as by inductor, whose code takes a minute to build."""
    made = []

    def traced(function):
        made.append(function.__name__)
        return torch.compile(function, dynamic=True, backend="aot_eager")

    monkeypatch.setattr(chunk, "compiled", cache(traced))
    config = replace(exact_config, layers=2, fusion="compile")
    schedule = make_schedule("1f1b", 1, 2)
    executor = ModelExecutor(config, schedule, Mesh(1, 1, 0), ALONE, CPU)
    walk_step(schedule, [executor])
    expected = reference(replace(config, fusion="none"), 2)
    assert relative_error(executor.gradients(), expected.gradients) < 1e-10
    assert sorted(made) == ["_gate", "rotate"]
