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
from dpprof.schedules.components import slot_program  # noqa: E402
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
    program_of = partial(slot_program, layers=executor.layers)
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

    def poison():
        """Leave memory that is given out next full of what no product is."""
        del_me = torch.full((2**24,), float("nan"), device=one_gpu)
        del del_me

    assert grouped._suits(x, weight)
    poison()
    by_kernel = all_three()
    monkeypatch.setattr(grouped, "_works", lambda device: False)
    poison()
    by_loop = all_three()
    for found, expected in zip(by_kernel, by_loop, strict=True):
        assert expected.norm() > 1000  # a GPU that computes nothing gives zeros
        assert (found - expected).norm() / expected.norm() < 1e-2
    assert not by_kernel[2][1].any()  # of the expert that got no row


@pytest.mark.parametrize("sms", [1, 20])
def test_the_copy_kernels_copy(one_gpu, sms):
    pytest.importorskip("triton", reason="the copy kernels need Triton")
    from dpprof.reference.dispatchers.copy_kernel import RowCopies, paced_copy

    source = torch.randn(1000, 333, device=one_gpu).to(torch.bfloat16)
    to, part = torch.zeros_like(source), torch.zeros_like(source[:900])
    start = torch.tensor(70, device=one_gpu)
    copies = RowCopies(sms, torch.zeros((), dtype=torch.int64, device=one_gpu))
    copies.copy(to, source)
    assert torch.equal(to, source)
    copies.pull(part, source, start)
    assert torch.equal(part, source[70:970])
    copies.push(to.zero_(), start, part)
    assert torch.equal(to[70:970], part)
    paced_copy(to.zero_(), source, sms, 50.0)
    assert torch.equal(to, source)


@pytest.mark.parametrize("wire", ["stay", "paced", "engines", "self-copy"])
def test_every_wire_brings_the_same_loss(one_gpu, wire):
    config = replace(SIZES, dtype="bfloat16")
    plain, gradients = run_step(config, one_gpu)
    loss, found = run_step(replace(config, wire=wire), one_gpu)
    assert plain > 1
    assert loss == pytest.approx(plain, rel=1e-3)
    assert worst(found, gradients) < 1e-2


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
