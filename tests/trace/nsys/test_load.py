"""Exports of Nsight Systems as runs: the same analyses as of any other trace."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.source.read_ranks import Reading
from tests.trace.nsys.conftest import Export
from tests.trace.nsys.twin import pipeline

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


def unsigned(table: Any) -> Any:
    """Numbers of other widths, and texts as codes."""
    import pyarrow as pa

    widths = {"globalPid": pa.uint64(), "globalTid": pa.uint64(), "streamId": pa.uint32()}
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_string(field.type):
            table = table.set_column(place, field.name, column.dictionary_encode())
        elif field.name in widths and pa.types.is_integer(field.type):
            table = table.set_column(place, field.name, column.cast(widths[field.name]))
    return table


@pytest.mark.parametrize(("change", "rows"), [(None, 1), (unsigned, 1000)])
def test_folders_of_parquet_files_are_the_ranks_of_a_job(
    change: Any, rows: int, tmp_path: Path
) -> None:
    exports = pipeline(1, ranks=2, micro_batches=range(2)).exports
    for form in ("sqlite", "parquet"):
        (tmp_path / form).mkdir()
    for rank, export in enumerate(exports):
        export.write(tmp_path / "sqlite" / f"rank{rank}.sqlite")
        folder = tmp_path / "parquet" / f"rank{rank}_pqtdir"
        export.write_parquet(folder, change, row_group_size=rows)
    (tmp_path / "parquet" / "rank0.nsys-rep").write_bytes(b"what it was exported from")
    expected = analyze(load_run(tmp_path / "sqlite"))
    for _ in ("read", "from the cache"):
        report = analyze(load_run(tmp_path / "parquet"))
        assert (report.total, report.ranks) == (expected.total, expected.ranks)
    assert analyze(load_run(str(tmp_path / "parquet" / "rank*_pqtdir"))).total == expected.total


def test_a_folder_of_parquet_files_that_changed_is_read_again(tmp_path: Path) -> None:
    for length in (3, 5):
        shutil.rmtree(tmp_path / "rank0_pqtdir", ignore_errors=True)
        export = Export()
        export.kernel(21, "gemm", 0, length * MS)
        report = analyze(load_run(export.write_parquet(tmp_path / "rank0_pqtdir")))
        assert report.ranks[0].states_ns["compute_only"] == length * MS


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


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An `nsys` on PATH that does what `script` says."""
    program = folder / "bin" / "nsys"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


_COPIES = 'for one; do case "$one" in --output=*) cp "$for_copy" "${one#--output=}";; esac; done'


def test_a_report_is_exported_by_the_users_own_nsys(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_ranks(export)
    made = export.write(tmp_path / "made.sqlite")
    (tmp_path / "run").mkdir()
    report = tmp_path / "run" / "job.nsys-rep"
    report.write_bytes(b"QDSS")
    old = 'case "$*" in *include-blobs*) echo "unknown option" >&2; exit 1;; esac'
    stand_in(tmp_path, monkeypatch, f"{old}\nfor_copy={made}\n{_COPIES}")
    for path in (report, tmp_path / "run"):
        assert [one.rank for one in analyze(load_run(path)).ranks] == [0, 1]
    assert [one.name for one in (tmp_path / "run").iterdir()] == ["job.nsys-rep"]


def test_what_nsys_says_of_a_report_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.nsys-rep").write_bytes(b"QDSS, of a newer nsys")
    stand_in(tmp_path, monkeypatch, "echo 'Unsupported version' >&2; exit 1")
    with pytest.raises(DpprofError, match=r"could not export it \(Unsupported version\)"):
        load_run(tmp_path / "job.nsys-rep")


def test_an_export_beside_its_report_is_read_alone(export: Export, tmp_path: Path) -> None:
    two_ranks(export)
    (tmp_path / "job.nsys-rep").write_bytes(b"QDSS")
    export.write(tmp_path / "job.sqlite")
    assert len(load_run(tmp_path).places) == 2


def test_ranges_of_any_name_are_steps_where_asked(export: Export, tmp_path: Path) -> None:
    for number, begin in enumerate((0, 100, 200)):
        export.range(21, f"batch {number + 5} of epoch", begin, begin + 90)
        export.range(21, f"step {number}", begin + 10, begin + 20)
        export.kernel(21, "gemm", begin + 20, begin + 30, launched=begin + 15)
    file = export.write(tmp_path / "rank0.sqlite")
    named = load_run(file, reading=Reading(step_range="batch*"))
    assert named.steps["step"].tolist() == [5, 6, 7]
    assert load_run(file).steps["step"].tolist() == [0, 1, 2]
    with pytest.raises(DpprofError, match=r"--step-range 'epoch': no range of rank0\.sqlite"):
        load_run(file, reading=Reading(step_range="epoch"))


def test_without_marks_the_profilers_windows_are_steps(export: Export, tmp_path: Path) -> None:
    for begin in (0, 100):
        export.call(21, "cudaProfilerStart_v4000", begin)
        export.kernel(21, "gemm", begin + 20, begin + 30, launched=begin + 15)
        export.call(21, "cudaProfilerStop_v4000", begin + 40)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert run.steps["step"].tolist() == [0, 1]
    assert run.events["step"].tolist() == [0, 1]


def test_without_marks_a_slot_that_comes_round_begins_a_step(
    export: Export, tmp_path: Path
) -> None:
    for begin in (0, 100):
        for place, slot in enumerate(("F0", "F1", "B0", "B1")):
            at = begin + 20 * place
            export.range(21, f"PP:0{slot}", at, at + 10)
            export.kernel(21, "gemm", at + 5, at + 15, launched=at + 2)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert run.steps["step"].tolist() == [0, 1]
    assert run.slots["slot"].astype(str).tolist() == ["F0.0", "F0.1", "B0.0", "B0.1"] * 2


def test_memory_that_was_recorded_is_what_cuda_gave(export: Export, tmp_path: Path) -> None:
    export.range(21, "step 1", 0, 90)
    export.kernel(21, "gemm", 20, 80, launched=15)
    for at, size, operation, kind in (
        (5, 100, 0, 2),
        (10, 50, 0, 2),
        (20, 100, 1, 2),
        (6, 9, 0, 1),
    ):
        export.add(
            "CUDA_GPU_MEMORY_USAGE_EVENTS", start=at, globalPid=21 << 24, deviceId=0, bytes=size,
            memKind=kind, memoryOperationType=operation,
        )  # fmt: skip
    (rank,) = analyze(load_run(export.write(tmp_path / "rank0.sqlite"))).ranks
    assert rank.memory.peak_reserved_bytes == 150


def test_groups_and_peers_that_were_not_exported_are_said(export: Export, tmp_path: Path) -> None:
    export.kernel(21, ALL_REDUCE, 20, 80, launched=15)
    export.range(21, "ncclAllReduce", 10, 18, domain=7)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert any("--include-blobs=true" in word for word in run.warnings)


def test_megatrons_ranges_are_slots(export: Export, tmp_path: Path) -> None:
    export.range(21, "iteration3", 0, 400)
    for place, what in enumerate(("forward_step", "forward_step", "backward_step")):
        at = 20 + 100 * place
        export.range(21, f"megatron.core.pipeline_parallel.schedules.{what}", at, at + 50)
        export.kernel(21, "gemm", at + 60, at + 90, launched=at + 10)
    run = load_run(export.write(tmp_path / "rank0.sqlite"))
    assert run.slots["slot"].astype(str).tolist() == ["F0.0", "F0.1", "B0.0"]
