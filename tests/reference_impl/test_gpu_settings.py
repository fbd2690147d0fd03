"""What a GPU is told before and while it runs, without one: blocks, queues, limits, waits."""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from dpprof.errors import DpprofError
from dpprof.reference.model import attention_kernels
from dpprof.reference.runtime import cuda_process, multiprocessors
from dpprof.reference.runtime.channels import Channels
from dpprof.reference.runtime.cuda_process import collective_timeout, prepare_cuda
from dpprof.reference.runtime.lanes import Done, InlineLane
from dpprof.reference.runtime.mesh import Mesh, nccl_blocks
from dpprof.reference.runtime.multiprocessors import leave_multiprocessors
from dpprof.reference.runtime.runtime import Runtime
from dpprof.schedules.registry import make_schedule

GPU = torch.device("cuda", 0)


@pytest.mark.parametrize(("sms", "blocks"), [(1, 1), (8, 8), (16, 16), (20, 16), (31, 16)])
def test_nccl_takes_no_more_blocks_than_multiprocessors(sms, blocks):
    """It rounds up to a power of two: held to 20 it would take 32."""
    assert nccl_blocks(sms) == blocks


def test_every_stream_gets_a_queue_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS", raising=False)
    prepare_cuda()
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "32"
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "1")
    prepare_cuda()
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "1"


def test_waits_for_others_end_when_the_setting_says(monkeypatch):
    told = []
    monkeypatch.setattr(
        torch.distributed.distributed_c10d, "_set_pg_timeout", lambda *given: told.append(given)
    )
    monkeypatch.delenv(cuda_process.TIMEOUT, raising=False)
    cuda_process.limit_waiting(["group"])
    assert (collective_timeout(), told) == (None, [])
    monkeypatch.setenv(cuda_process.TIMEOUT, "60")
    cuda_process.limit_waiting(["group"])
    assert told == [(timedelta(seconds=60), "group")]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf"])
def test_a_timeout_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv(cuda_process.TIMEOUT, text)
    with pytest.raises(DpprofError, match="give a number of seconds above 0"):
        collective_timeout()


@pytest.fixture
def told(monkeypatch):
    """What torch and cuBLAS would be told."""
    said = {}
    properties = SimpleNamespace(multi_processor_count=132)
    library = SimpleNamespace(
        cublasSetSmCountTarget=lambda handle, count: said.update(cublas=count) or 0
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "current_blas_handle", lambda: 7)
    monkeypatch.setattr(
        torch.backends.cuda, "preferred_blas_library", lambda name: said.update(library=name)
    )
    monkeypatch.setattr(
        torch._C,
        "_set_sm_carveout_experimental",
        lambda count: said.update(carveout=count),
        raising=False,
    )
    monkeypatch.setattr(multiprocessors.ctypes, "CDLL", lambda name: library)
    return said


def test_products_leave_multiprocessors_by_every_way_there_is(told):
    leave_multiprocessors(20, GPU)
    assert told == {"library": "cublaslt", "carveout": 20, "cublas": 112}
    leave_multiprocessors(0, GPU)
    assert told == {"library": "default", "carveout": None, "cublas": 0}


def test_more_multiprocessors_than_there_are_cannot_be_left(told):
    with pytest.raises(DpprofError, match="the GPU has 132 multiprocessors"):
        leave_multiprocessors(132, GPU)
    assert told == {}


class OnGpu:
    """Stands for a tensor on a GPU where only shapes are asked for."""

    is_cuda, dtype, device = True, torch.bfloat16, GPU

    def __init__(self, size):
        self.shape = torch.Size((1, 2, 8, size))


@pytest.mark.parametrize("fails", [None, "forward", "backward"])
def test_attention_falls_back_where_torchs_choice_has_no_plan(fails, monkeypatch):
    """cuDNN says so when it is called, of the backward only then."""
    zeros = torch.zeros

    class Refuses(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            if fails == "forward":
                raise RuntimeError("No execution plans support the graph")
            return inputs[2].clone()

        @staticmethod
        def backward(ctx, gradient):
            if fails == "backward":
                raise RuntimeError("No execution plans support the graph")
            return gradient, gradient, gradient

    monkeypatch.setattr(torch, "zeros", lambda *shape, device, **how: zeros(*shape, **how))
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda q, k, v, is_causal: Refuses.apply(q, k, v)
    )
    attention_kernels.default_works.cache_clear()
    kernels = attention_kernels._kernels(OnGpu(64), OnGpu(64), OnGpu(64))
    attention_kernels.default_works.cache_clear()
    assert isinstance(kernels, nullcontext) == (fails is None)


class NotedWire:
    """Notes when which receive is posted, and behind what."""

    def __init__(self, posted):
        self._posted = posted

    def receive(self, edge, lane, label, after=()):
        self._posted.append(tuple(after))
        return Done(torch.zeros(1))

    def send(self, tensor, edge):
        pass


class Nothing:
    """An executor of slots without steps, which notes them."""

    def __init__(self, schedule, rank, posted):
        self._keys = {}
        self._posted = posted
        self.at = []

    def begin_step(self, step):
        pass

    def begin_slot(self, slot, program, received):
        self._slot = slot
        self.at.append((slot, len(self._posted)))

    def finish_slot(self):
        return {action: torch.zeros(1) for action in self._slot if self._passes_on(action)}

    def end_step(self):
        return None

    def _passes_on(self, action):
        return True


@pytest.mark.parametrize("name", ["dualpipe", "1f1b"])
def test_a_receive_is_posted_as_the_slot_before_begins_and_behind_it(name):
    """Earlier it would hold multiprocessors while it waits; later it would not be hidden."""
    schedule, rank, posted = make_schedule(name, 4, 8), 1, []
    mesh = Mesh(4, 1, rank)
    channels = Channels(schedule, mesh, NotedWire(posted), lambda lane: InlineLane())
    executor = Nothing(schedule, rank, posted)
    runtime = Runtime(
        schedule, mesh, executor, channels, lambda lane: InlineLane(), lambda text: ()
    )
    consumers = runtime._consumers
    executor._passes_on = lambda action: consumers[action] is not None
    runtime.run_step(0)
    slots = schedule.ranks[rank]
    needed = [sum(channels.expects(action) for action in slot) for slot in slots]
    for number, (slot, count) in enumerate(executor.at):
        assert slot == slots[number]
        assert count == sum(needed[: number + 2])  # this slot's and the next one's, no more
    assert all(len(after) == 1 for after in posted[needed[0] :])
    assert len(posted) == sum(needed) > 8
