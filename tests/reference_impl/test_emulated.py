"""The emulated device: its virtual clock is the simulator's, its allocations come and go."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace

torch = pytest.importorskip("torch", reason="the reference implementation needs torch")

import torch.distributed as dist  # noqa: E402

from dpprof.costs.faults import read_fault, with_faults  # noqa: E402
from dpprof.costs.profile import (  # noqa: E402
    CostProfile,
    LayerCost,
    MemoryCost,
    MessageCost,
)
from dpprof.costs.stages import stage_memory  # noqa: E402
from dpprof.reference.executors.emulated import EmulatedExecutor  # noqa: E402
from dpprof.reference.executors.emulated_messages import Edge  # noqa: E402
from dpprof.reference.runtime.channels import Channels  # noqa: E402
from dpprof.reference.runtime.lanes import make_lane  # noqa: E402
from dpprof.reference.runtime.mesh import Groups, Mesh  # noqa: E402
from dpprof.reference.runtime.runtime import Runtime  # noqa: E402
from dpprof.schedules.in_flight import most_bytes_held  # noqa: E402
from dpprof.schedules.registry import make_schedule  # noqa: E402
from dpprof.simulate.engine import simulate  # noqa: E402
from dpprof.simulate.stage_timing import schedule_timing  # noqa: E402
from dpprof.simulate.timing import timing_from_profile  # noqa: E402

CPU = torch.device("cpu")
COSTS = CostProfile(
    name="short",
    layers=1,
    component_ns={
        "F": {"attention": 40_000, "dispatch": 30_000, "mlp": 20_000, "combine": 30_000},
        "I": {"attention": 50_000, "dispatch": 30_000, "mlp": 30_000, "combine": 30_000},
        "W": {"attention": 20_000, "mlp": 10_000},
    },
    memory=MemoryCost(activation_bytes=3 * 2**20),
)


@pytest.fixture
def one_rank(tmp_path):
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def _runtime(schedule, costs=COSTS):
    mesh, groups = Mesh(1, 1, 0), Groups(None, None, {})
    layers = None if costs.model else 1
    executor = EmulatedExecutor(costs, layers, schedule, mesh, groups)
    channels = Channels(schedule, mesh, executor.wire, partial(make_lane, CPU))
    executor.channels = channels
    return Runtime(
        schedule, mesh, executor, channels, partial(make_lane, CPU), executor.program_of
    ), executor


@pytest.mark.parametrize("name", ["gpipe", "1f1b", "dualpipev", "zbv"])
def test_the_virtual_clock_is_the_simulators(one_rank, name):
    schedule = make_schedule(name, 1, 4)
    runtime, executor = _runtime(schedule)
    executor.begin_step(0)
    start_ns = executor.clock_ns
    executor.begin_step = lambda step: None
    runtime.run_step(0)
    runtime.close()
    simulated = simulate(schedule, timing_from_profile(COSTS, 1))
    assert executor.clock_ns - start_ns == simulated.makespan_ns


UNEVEN = replace(
    COSTS,
    model=[
        LayerCost(component_ns={"F": {"dispatch": 0, "combine": 0}, "I": {"mlp": 90_000}}),
        LayerCost(count=2),
        LayerCost(
            component_ns={"F": {"output": 70_000}, "W": {"output": 50_000}},
            memory=MemoryCost(activation_bytes=7 * 2**20),
        ),
    ],
)


@pytest.mark.parametrize("fault", ["", "compute=1.3x", "serial=dispatch", "sync=40us", "mlp=2x"])
@pytest.mark.parametrize(("name", "cut"), [("dualpipev", [1, 3]), ("zbv", [3, 1]), ("1f1b", [4])])
def test_the_clock_and_memory_of_uneven_stages_are_the_simulators(one_rank, name, cut, fault):
    """Predictions against runs, a handful; tests/benchmarks/bench_predictions.py has forty."""
    schedule = make_schedule(name, 1, 3)
    faults = [read_fault(fault, 1)] if fault else []
    costs = replace(UNEVEN, stage_layers=cut)
    runtime, executor = _runtime(schedule, with_faults(costs, faults, 0))
    executor.begin_step(0)
    start_ns = executor.clock_ns
    executor.begin_step = lambda step: None
    held, allocate = [], executor._allocate
    executor._allocate = lambda: (allocate(), held.append(executor.held_bytes))
    runtime.run_step(0)
    runtime.close()
    simulated = simulate(schedule, schedule_timing(schedule, costs, faults=faults))
    assert executor.clock_ns - start_ns == simulated.makespan_ns
    stages = stage_memory(costs, len(cut))
    sizes = [stages[stage].activation_bytes for stage in schedule.placement.stages[0]]
    assert max(held) == most_bytes_held(schedule.ranks[0], sizes)
    assert executor.held_bytes == 0


def test_activations_are_all_freed_at_the_end_of_a_step(one_rank):
    runtime, executor = _runtime(make_schedule("dualpipev", 1, 4))
    runtime.run_step(0)
    runtime.close()
    assert executor.held_bytes == 0


def test_a_large_activation_is_split_into_blocks_that_linux_grants():
    from dpprof.reference.executors.emulated import _blocks

    assert _blocks(0) == []
    assert _blocks(5) == [5]
    assert _blocks(2**31 + 1) == [2**30, 2**30, 1]


def test_an_edge_carries_one_message_after_the_other_and_delays_each():
    edge = Edge(MessageCost(bytes=10, bytes_per_second=1e9, latency_ns=3))
    assert [edge.arrival_ns(ready) for ready in (0, 5, 30)] == [13, 23, 43]
