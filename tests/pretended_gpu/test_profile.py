"""What whole runs of ``dpprof profile --device cuda`` leave in their traces."""

from __future__ import annotations

import numpy as np
import pytest

import dpprof
from dpprof.tables.columns import (
    COMPONENT,
    KIND,
    LAYER,
    NAME,
    OPERATION,
    PART,
    RANK,
    SLOT,
)
from dpprof.trace.rank.host_waits import _slots, _steady, host_waits
from dpprof.trace.read.columns import Category
from dpprof.trace.read.parse import read_trace

MESHES = ("pp1", "pp2_ep2", "pp4")
SEND_RECEIVE = "SendRecv"


def traces(run):
    return [read_trace(file) for file in sorted(run.glob("rank*.json.gz"))]


@pytest.mark.parametrize("mesh", MESHES)
def test_everything_that_moves_is_of_the_kind_that_its_label_says(profiled, mesh):
    loaded = dpprof.load(profiled(mesh))
    events = loaded.events
    moved = events[events[NAME].astype(str).str.contains(SEND_RECEIVE) & (events[SLOT] != "")]
    assert set(moved[KIND]) == (set() if mesh == "pp4" else {"dispatch", "combine"})
    assert len(loaded.report().ranks) == {"pp1": 1, "pp2_ep2": 4, "pp4": 4}[mesh]
    computing = events[events[KIND] == "compute"]
    assert set(computing[OPERATION]) >= {"F", "B", "F&B"}


@pytest.mark.parametrize("mesh", ["pp2_ep2", "pp4", "shared"])
def test_messages_of_the_pipeline_are_seen_on_both_sides(profiled, mesh):
    """Those of ranks that share a GPU are copies, launched by threads of their own."""
    run = profiled(mesh)
    events = dpprof.load(run).events
    messages = events[events[KIND] == "p2p"]
    labels = [name for name in read_trace(run / "rank0.json.gz").names if "dpprof:p2p" in name]
    assert len(labels) > 4
    assert set(messages[RANK]) == set(events[RANK])
    if mesh == "shared":
        assert messages[NAME].astype(str).str.startswith("Memcpy").all()
        assert {"DtoH", "HtoD"} == {name.split()[1] for name in messages[NAME].astype(str)}


@pytest.mark.parametrize("mesh", MESHES)
def test_the_host_waits_for_nothing_in_the_steady_phase(profiled, mesh):
    for trace in traces(profiled(mesh)):
        waits = host_waits(trace)
        assert waits.empty, waits.to_string()


@pytest.mark.parametrize("mesh", MESHES)
def test_memory_is_there_before_the_steady_phase(profiled, mesh):
    for trace in traces(profiled(mesh)):
        phases = _steady(_slots(trace)[0])
        assert phases
        for waiting in ("cudaMalloc", "cudaFree", "cudaHostAlloc"):
            assert sum(_calls(trace, waiting, phases)) == 0, waiting


def _calls(trace, wanted, phases):
    """How often a function of the runtime was called in each of some times."""
    launches = trace.rows(Category.LAUNCH)
    named = np.array([name == wanted for name in trace.names])
    starts = trace.start_ns[launches[named[trace.name[launches]]]]
    return [int(((starts >= begin) & (starts < end)).sum()) for begin, end in phases]


def test_nccl_is_held_to_the_blocks_that_it_was_given(profiled):
    """16 of at most 20 multiprocessors for the exchange, 2 for each edge; 32 are its default."""
    import gzip
    import json

    run = profiled("pp2_ep2")
    events = json.loads(gzip.decompress((run / "rank0.json.gz").read_bytes()))["traceEvents"]
    kernels = [event for event in events if event.get("cat") == "kernel"]
    grids = {event["args"]["grid"][0] for event in kernels if SEND_RECEIVE in event["name"]}
    assert grids == {16, 2}


LAUNCHES = {
    ("attention", "F"): 80,
    ("attention", "I"): 74,
    ("attention", "W"): 14,
    ("mlp", "F"): 14,
    ("mlp", "I"): 18,
    ("mlp", "W"): 12,
    ("dispatch", "F"): 1,
    ("combine", "F"): 1,
    ("dispatch", "I"): 1,
    ("combine", "I"): 1,
}
"""The most launches of a layer and micro-batch: the host must stay ahead of the GPU."""


def test_launches_stay_within_their_budget(profiled):
    events = dpprof.load(profiled("pp1")).events
    events = events[events[COMPONENT].isin(["attention", "mlp", "dispatch", "combine"])]
    counts = events.groupby([SLOT, COMPONENT, PART, LAYER], observed=True).size()
    worst = counts.groupby([COMPONENT, PART], observed=True).max().to_dict()
    assert set(worst) == set(LAUNCHES)
    over = {key: count for key, count in worst.items() if count > LAUNCHES[key]}
    assert not over, worst
    assert worst["attention", "F"] > 40  # that they are counted at all
