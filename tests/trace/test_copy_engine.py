"""Copies by the copy engine are the collective that they carry out, and no others are."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run

PTOP, DTOD = "Memcpy PtoP (Device -> Device)", "Memcpy DtoD (Device -> Device)"
HTOD = "Memcpy HtoD (Pinned -> Device)"
NCCL = "ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)"


def copy(build: Any, name: str, launch: float, ts: float, stream: int = 9) -> list[dict[str, Any]]:
    call, event = build.kernel(name, launch, ts, 5, stream=stream)
    return [call | {"name": "cudaMemcpyAsync"}, event | {"cat": "gpu_memcpy"}]


def collective(build: Any, ts: float, name: str = "_allgather_base") -> dict[str, Any]:
    said = {"Collective name": name, "Process Group Name": "1", "Group size": 2}
    return build.operator("record_param_comms", ts, 10, **said)


def kinds(build: Any, events: list[Any]) -> list[str]:
    table = build.tables(events).events
    return table["kind"].tolist()


def test_copies_alone_carry_out_the_collective(build) -> None:
    one = [collective(build, 0), copy(build, DTOD, 1, 20), copy(build, DTOD, 2, 30)]
    assert kinds(build, one) == ["all_gather", "all_gather"]


def test_beside_a_copy_between_devices_that_of_the_own_part_is_local(build) -> None:
    one = [collective(build, 0), copy(build, DTOD, 1, 20), copy(build, PTOP, 2, 30)]
    assert kinds(build, one) == ["memory", "all_gather"]


def test_beside_a_kernel_of_the_collective_a_copy_is_local(build) -> None:
    call = collective(build, 0)
    one = [call, copy(build, DTOD, 1, 20), build.kernel(NCCL, 2, 30, 5, stream=9)]
    other = [collective(build, 100), copy(build, DTOD, 101, 120)]
    assert kinds(build, [*one, *other]) == ["memory", "all_gather", "all_gather"]


def test_copies_of_the_host_and_outside_every_call_are_memory(build) -> None:
    one = [collective(build, 0), copy(build, HTOD, 1, 20), copy(build, DTOD, 50, 60)]
    assert kinds(build, one) == ["memory", "memory"]


@pytest.mark.parametrize(
    ("around", "kind"),
    [
        ("symm_mem::fused_all_gather_matmul", "all_gather"),
        ("c10d::alltoall_base_", "all_to_all"),
        ("token_dispatch", "dispatch"),
        ("aten::copy_", "comm_other"),
    ],
)
def test_a_copy_between_devices_is_what_its_call_says(build, around: str, kind: str) -> None:
    assert kinds(build, [build.annotation(around, 0, 10), copy(build, PTOP, 1, 20)]) == [kind]


def test_copies_wait_for_nobody_and_are_matched_with_nothing(build, tmp_path) -> None:
    """Of two ranks whose copies start 100 us apart neither waits."""
    for rank, later in ((0, 0), (1, 100)):
        steps = build.step(0, 0, 400)
        copies = [copy(build, PTOP, later + 1, later + 20 + 10 * number) for number in range(3)]
        events = [steps, collective(build, later), *copies, build.kernel("gemm", 2, 300, 50)]
        build.write(
            tmp_path / f"rank{rank}.json",
            events,
            distributedInfo={"rank": rank, "world_size": 2, "backend": "nccl"},
        )
    report = analyze(load_run(tmp_path))
    for rank in report.ranks:
        assert (rank.wait_ns, rank.exposed_ns) == (0, 15_000)
        assert rank.states_ns["bubble.straggler"] == 0
    assert not any("unsplit" in one or "low-latency" in one for one in report.warnings)
