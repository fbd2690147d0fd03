"""Exports of Nsight Systems as runs: the same analyses as of any other trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from tests.trace.nsys.conftest import Export

SHARED = Path(__file__).parents[4] / "shared" / "data" / "nsys"
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
MS = 1_000_000


def two_ranks(export: Export) -> None:
    """Both compute 10 ms; rank 1 comes 5 ms late to a collective that takes 2 ms."""
    for rank, pid in enumerate((21, 22)):
        late = 5 * MS * rank
        export.communicator(pid, 0xA, ranks=2, rank=rank)
        export.range(pid, "iteration1", 0, 20 * MS)
        export.kernel(pid, "gemm", 1 * MS + late, 11 * MS + late, launched=1 * MS)
        export.collective(pid, "ncclAllReduce", 0xA, 2 * MS, 3 * MS)
        begin = 11 * MS + late
        export.kernel(pid, ALL_REDUCE, begin, 18 * MS, launched=2 * MS + 10, stream=9)
        export.kernel(pid, "gemm", 18 * MS, 19 * MS, launched=4 * MS)


def test_ranks_steps_kinds_and_waits_are_found(export: Export, tmp_path: Path) -> None:
    two_ranks(export)
    report = analyze(load_run(export.write(tmp_path / "job.sqlite")))
    assert [rank.rank for rank in report.ranks] == [0, 1]
    assert [one.step for one in report.per_step] == [1]
    assert [rank.by_kind["all_reduce"].wait_ns for rank in report.ranks] == [5 * MS, 0]
    assert [rank.exposed_ns for rank in report.ranks] == [2 * MS, 2 * MS]
    first = report.ranks[0].states_ns
    assert (first["compute_only"], first["bubble.straggler"]) == (11 * MS, 5 * MS)


def test_a_file_a_rank_is_numbered_by_its_communicator(tmp_path: Path) -> None:
    for rank, pid in enumerate((21, 22)):
        export = Export()
        export.communicator(pid, 0xA, ranks=2, rank=1 - rank)
        export.kernel(pid, f"gemm {1 - rank}", 0, MS)
        export.write(tmp_path / f"node{rank}.sqlite")
    run = load_run(tmp_path)
    names = {rank: str(run.held.of_rank(rank)["name"].iloc[0]) for rank in (0, 1)}
    assert names == {0: "gemm 0", 1: "gemm 1"}


def test_the_rank_is_the_environments_where_each_has_its_own_profiler(tmp_path: Path) -> None:
    for rank in (0, 1):
        export = Export()
        export.kernel(21 + rank, "gemm", 0, MS)
        text = f"PATH=/bin;RANK={rank};WORLD_SIZE=2;LOCAL_RANK=0"
        export.add("TARGET_INFO_SYSTEM_ENV", name="DeviceEnvironment", value=text)
        export.write(tmp_path / f"node{1 - rank}.sqlite")
    run = load_run(tmp_path)
    assert [place.rank for place in run.places] == [0, 1]
    assert not any("order" in warning for warning in run.warnings)


def test_devices_of_a_process_are_rows_of_their_own(export: Export, tmp_path: Path) -> None:
    for device, length in enumerate((3, 5)):
        export.kernel(21, "gemm", 0, length * MS, device=device)
    report = analyze(load_run(export.write(tmp_path / "rank0.sqlite")))
    assert [rank.states_ns["compute_only"] for rank in report.ranks] == [3 * MS, 5 * MS]


def test_a_report_that_was_not_exported_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "job.nsys-rep").write_bytes(b"QDSS")
    for path in (tmp_path, tmp_path / "job.nsys-rep"):
        with pytest.raises(DpprofError, match="nsys export --type sqlite"):
            load_run(path)


@pytest.mark.skipif(not SHARED.exists(), reason="the public exports are not here")
def test_a_real_export_of_two_devices() -> None:
    report = analyze(load_run(SHARED / "h100_2gpu_1s.sqlite"))
    compute = [rank.states_ns["compute_only"] for rank in report.ranks]
    assert compute == [22_385_163, 22_444_359]  # kernels of one stream each: their sum
