"""Dispatchers carry the same rows; the one on symmetric memory with threads as its GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.all_to_all import AllToAll
from dpprof.reference.dispatchers.contract import ExchangePlace, make_dispatcher
from dpprof.reference.dispatchers.deepep import DeepEP
from dpprof.reference.dispatchers.symmetric_memory import SymmetricMemory
from dpprof.reference.executors.expert_parallel import Exchanger
from dpprof.reference.model.config import DISPATCHERS
from dpprof.reference.model.exchange import ExchangePlan
from dpprof.reference.model.grouped import RowGroups

PLACE = ExchangePlace(None, 8, 4, torch.float32, torch.device("cpu"), 20)


class ThreadPeers:
    """Memory that all threads see, and a barrier for them."""

    def __init__(self, rank, buffers, starts, barrier):
        self.rank = rank
        self._buffers = buffers
        self._starts = starts
        self._barrier = barrier

    def buffer(self, rank):
        return self._buffers[rank]

    def starts(self, rank):
        return self._starts[rank]

    def barrier(self):
        self._barrier.wait(timeout=30)


class PlainCopies:
    """The copies of `RowCopies`; notes whose memory was touched in which order."""

    def __init__(self):
        self.touched = []

    def copy(self, to, source):
        to.copy_(source)

    def pull(self, to, source, start):
        self.touched.append(source.data_ptr())
        to.copy_(source[start : start + len(to)])

    def push(self, to, start, source):
        self.touched.append(to.data_ptr())
        to[start : start + len(source)] = source


def plan_of(rank, counts):
    """``counts[source][target]`` rows."""
    received = [[source[rank]] for source in counts]
    rows = [sum(row[0] for row in received)]
    ends = torch.tensor(rows, dtype=torch.int32)
    return ExchangePlan(counts[rank], received, RowGroups(rows, ends), torch.tensor(counts[rank]))


@settings(max_examples=20)
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 5), min_size=n, max_size=n), min_size=n, max_size=n
        )
    )
)
def test_rows_over_symmetric_memory(counts):
    ranks = len(counts)
    rows = [
        torch.tensor([[s, t, k] for t, n in enumerate(row) for k in range(n)]).reshape(-1, 3)
        for s, row in enumerate(counts)
    ]
    most = max(sum(row) for row in counts)  # what a rank sends, however much it gets
    buffers = [torch.full((most, 3), -1) for _ in range(ranks)]
    starts = [torch.full((ranks,), -1) for _ in range(ranks)]
    barrier = threading.Barrier(ranks)

    def run(rank):
        copies = PlainCopies()
        dispatcher = SymmetricMemory(ThreadPeers(rank, buffers, starts, barrier), copies)
        plan = plan_of(rank, counts)
        received = dispatcher.send(rows[rank], plan)
        return received, dispatcher.bring_back(2 * received, plan), copies.touched

    with ThreadPoolExecutor(ranks) as pool:
        results = list(pool.map(run, range(ranks)))
    for rank, (received, returned, touched) in enumerate(results):
        expected = [[s, rank, k] for s, row in enumerate(counts) for k in range(row[rank])]
        assert received.tolist() == expected
        assert torch.equal(returned, 2 * rows[rank])
        order = [(rank + step) % ranks for step in range(1, ranks + 1)]
        one_way = [buffers[source].data_ptr() for source in order if counts[source][rank]]
        assert touched == 2 * one_way  # the next neighbour first: nobody is asked by all at once


def test_alone_nothing_moves():
    rows = torch.ones(2, 4)
    dispatcher = make_dispatcher("all-to-all", PLACE)
    assert dispatcher.send(rows, plan_of(0, [[2]])) is rows


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pigeon", "no dispatcher 'pigeon'; use one of all-to-all, deepep, symmetric-memory"),
        ("deepep", "needs DeepEP|carries bfloat16 between ranks"),
        ("symmetric-memory", "needs several GPUs of one node; use --set dispatcher=all-to-all"),
    ],
)
def test_what_cannot_run_here_says_so(name, message):
    with pytest.raises(DpprofError, match=message):
        make_dispatcher(name, PLACE)


def test_every_name_is_a_module():
    from importlib.util import find_spec

    for name in DISPATCHERS:
        assert find_spec(f"dpprof.reference.dispatchers.{name.replace('-', '_')}")


def test_a_rank_that_stands_for_many_copies_its_rows():
    rows = torch.ones(4, 4)
    plan = ExchangePlan([1, 3], [[1], [3]], RowGroups([4], torch.tensor([4])), torch.ones(2))
    received = make_dispatcher("all-to-all", PLACE).send(rows, plan)
    assert received is not rows
    assert torch.equal(received, rows)


class FakeBuffer:
    """DeepEP's calls as its documentation has them, on one rank: rows come back as they went."""

    sms = 0

    def __init__(self, group, nvlink_bytes, rdma_bytes):
        self.bytes = (nvlink_bytes, rdma_bytes)

    @staticmethod
    def set_num_sms(sms):
        FakeBuffer.sms = sms

    @staticmethod
    def get_dispatch_config(ranks):
        return SimpleNamespace(
            get_nvl_buffer_size_hint=lambda row_bytes, ranks: 10 * row_bytes,
            get_rdma_buffer_size_hint=lambda row_bytes, ranks: 0,
        )

    get_combine_config = get_dispatch_config

    def get_dispatch_layout(self, topk_idx, num_experts):
        counts = topk_idx.flatten().bincount(minlength=num_experts)
        return counts.sum()[None], None, counts, torch.ones(len(topk_idx), 1).bool(), None

    def dispatch(self, x, handle=None, topk_idx=None, num_tokens_per_expert=None, **layout):
        if handle is not None:
            assert topk_idx is None
            return x.clone(), None, None, None, handle, None
        handle = ("handle", num_tokens_per_expert.tolist())
        return x.clone(), topk_idx, layout["topk_weights"], handle[1], handle, None

    def combine(self, x, handle):
        assert handle[0] == "handle"
        return x.clone(), None, None


def test_deepep_is_called_as_documented(monkeypatch):
    monkeypatch.setitem(sys.modules, "deep_ep", SimpleNamespace(Buffer=FakeBuffer))
    group = SimpleNamespace(size=lambda: 1)
    place = replace(PLACE, group=group, dtype=torch.bfloat16, sms=24)
    dispatcher = make_dispatcher("deepep", place)
    assert FakeBuffer.sms == 24
    rows = torch.randn(5, 4).to(torch.bfloat16)
    counts = torch.tensor([2, 0, 3])
    plan = ExchangePlan([5], [[2, 0, 3]], RowGroups([2, 0, 3], counts), counts)
    received = dispatcher.send(rows, plan)
    assert torch.equal(received, rows)
    assert plan.handle == ("handle", [2, 0, 3])
    assert torch.equal(dispatcher.bring_back(received, plan), rows)
    assert torch.equal(dispatcher.send(2 * rows, plan), 2 * rows)


def interpret(script):
    """Run `script` where Triton interprets kernels; it reads the setting when imported."""
    pytest.importorskip("triton", reason="the copy kernels need Triton, as torch for CUDA brings")
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=300)


def test_the_copy_kernels_under_tritons_interpreter():
    interpret("""
import torch
from dpprof.reference.dispatchers.copy_kernel import RowCopies, paced_copy
zero, start = torch.zeros((), dtype=torch.int64), torch.tensor([9, 4])
copies = RowCopies(3, zero)
for rows in (1, 30, 3000):
    source, to = torch.randn(rows + 10, 37), torch.zeros(rows + 10, 37)
    copies.copy(to, source)
    assert torch.equal(to, source), rows
    part = torch.zeros(rows, 37)
    copies.pull(part, source, start[1])
    assert torch.equal(part, source[4 : 4 + rows]), rows
    to.zero_()
    copies.push(to, start[1], part)
    assert torch.equal(to[4 : 4 + rows], part) and not to[:4].any() and not to[4 + rows :].any()
    to.zero_()
    paced_copy(to, source, 5, 0.0)
    assert torch.equal(to, source), rows
""")


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_the_host_waits_for_counts_or_where_the_dispatcher_does(known, waits):
    """DeepEP's first dispatch reads counts from the GPU even where they are known."""
    dispatcher = SimpleNamespace(waits_for_counts=waits)
    exchanger = Exchanger(dispatcher, None, 1, plan_of(0, [[2]]) if known else None)
    assert exchanger.makes_the_host_wait == (waits or not known)


def test_deepep_says_that_it_waits():
    assert DeepEP(None).waits_for_counts
    assert not AllToAll(None).waits_for_counts
