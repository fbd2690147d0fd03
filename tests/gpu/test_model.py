"""On a GPU: streams, NCCL and grouped kernels compute what the plain model computes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="the reference implementation needs torch")

from dpprof.reference.executors.model import ModelExecutor  # noqa: E402
from dpprof.reference.model import grouped  # noqa: E402
from dpprof.reference.model.grouped import (  # noqa: E402
    RowGroups,
    add_grouped_weight_gradient,
    grouped_input_gradient,
    grouped_linear,
)
from dpprof.reference.model.presets import preset  # noqa: E402
from dpprof.reference.model.unpipelined import unpipelined_step  # noqa: E402
from dpprof.reference.runtime.channels import Channels, ProcessGroupWire  # noqa: E402
from dpprof.reference.runtime.lanes import make_lane  # noqa: E402
from dpprof.reference.runtime.mesh import Mesh, make_groups  # noqa: E402
from dpprof.reference.runtime.runtime import Runtime  # noqa: E402
from dpprof.schedules.components import component_program  # noqa: E402
from dpprof.schedules.registry import make_schedule  # noqa: E402

pytestmark = pytest.mark.gpu

SIZES = replace(
    preset("small"), layers=4, sequence=64, optimizer="none", routing="balanced", looped_ep=2
)


def run_step(config, device, name="dualpipev"):
    """A step of overlapped pairs on one rank, all-to-all through NCCL; several, to reuse memory."""
    schedule = make_schedule(name, 1, 6)
    mesh = Mesh(1, 1, 0)
    groups = make_groups(mesh, schedule, "nccl", config.communication_sms, loop=True)
    executor = ModelExecutor(config, schedule, mesh, groups, device)
    lane = partial(make_lane, device)
    channels = Channels(schedule, mesh, ProcessGroupWire(executor.message, device, groups), lane)
    program_of = partial(component_program, layers=executor.layers)
    runtime = Runtime(schedule, mesh, executor, channels, lane, program_of)
    for _ in range(3):
        loss = runtime.run_step(0)
    return loss, executor.gradients()


def worst(found, expected):
    return max(
        ((found[name].double() - value.double()).norm() / value.double().norm()).item()
        for name, value in expected.items()
    )


@pytest.mark.parametrize(
    "change",
    [{}, {"routing": "scores"}, {"routing": "scores", "capacity_factor": 1.0}],
    ids=["balanced", "scores", "capacity"],
)
def test_single_precision_equals_the_unpipelined_model(one_gpu, change):
    torch.backends.cuda.matmul.allow_tf32 = False
    config = replace(SIZES, **change)
    loss, gradients = run_step(config, one_gpu)
    expected = unpipelined_step(config, 6, device=one_gpu)
    assert loss == pytest.approx(expected.loss, rel=1e-5)
    assert worst(gradients, expected.gradients) < 1e-5


def test_half_precision_is_near_single(one_gpu):
    loss, gradients = run_step(replace(SIZES, dtype="bfloat16"), one_gpu)
    expected = unpipelined_step(SIZES, 6, device=one_gpu)
    assert loss == pytest.approx(expected.loss, rel=2e-2)
    ordered = sorted(gradients)
    found, plain = (
        torch.cat([values[name].double().flatten() for name in ordered])
        for values in (gradients, expected.gradients)
    )
    assert ((found - plain).norm() / plain.norm()).item() < 2e-2


def test_the_grouped_kernel_equals_the_loop(one_gpu, monkeypatch):
    rows = [256, 0, 8, 1000]
    generator = torch.Generator(one_gpu).manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, device=one_gpu).to(torch.bfloat16)

    ends = torch.tensor(rows, device=one_gpu).cumsum(0).to(torch.int32)
    groups = RowGroups(rows, ends)
    x, weight, gradient = draw(sum(rows), 512), draw(4, 768, 512), draw(sum(rows), 768)

    def all_three():
        total = torch.zeros(4, 768, 512, device=one_gpu)
        add_grouped_weight_gradient(total, gradient, x, groups)
        inputs = grouped_input_gradient(gradient, weight, groups)
        return [value.float() for value in (grouped_linear(x, weight, groups), inputs, total)]

    assert grouped._suits(x, weight)
    by_kernel = all_three()
    monkeypatch.setattr(grouped, "_works", lambda device: False)
    torch.testing.assert_close(by_kernel, all_three(), rtol=2e-2, atol=0.5)


@pytest.mark.parametrize("sms", [1, 20])
def test_the_copy_kernel_copies(one_gpu, sms):
    pytest.importorskip("triton", reason="the copy kernel needs Triton")
    from dpprof.reference.dispatchers.symmetric_memory import copy_with

    source = torch.randn(1000, 333, device=one_gpu).to(torch.bfloat16)
    to = torch.zeros_like(source)
    copy_with(sms)(to, source)
    assert torch.equal(to, source)


def test_symmetric_memory_of_one_rank(one_gpu):
    """Set up, write, barrier, pull, on one GPU; several are needed to see it move over NVLink."""
    import torch.distributed as dist

    from dpprof.reference.dispatchers.contract import ExchangePlace, make_dispatcher
    from dpprof.reference.model.exchange import ExchangePlan

    place = ExchangePlace(dist.group.WORLD, 64, 128, torch.bfloat16, one_gpu, 8)
    dispatcher = make_dispatcher("symmetric-memory", place)
    rows = torch.randn(50, 128, device=one_gpu).to(torch.bfloat16)
    counts = torch.tensor([50], device=one_gpu)
    plan = ExchangePlan([50], [[50]], RowGroups([50], counts.to(torch.int32)), counts)
    received = dispatcher.send(rows, plan)
    assert torch.equal(received, rows)
    assert torch.equal(dispatcher.bring_back(received, plan), rows)
