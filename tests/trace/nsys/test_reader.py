"""Exports with a known content are read to exactly that."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.nsys.reader import read_nsys
from dpprof.trace.rank.read_file import read_file
from dpprof.trace.read.columns import DEVICE_CATEGORIES, Category, TraceColumns
from tests.trace.nsys.conftest import EPOCH_NS, Export

SHARED = Path(__file__).parents[4] / "shared" / "data" / "nsys"


def rows_of(trace: Any, category: Category) -> list[tuple[str, int, int]]:
    return [
        (
            trace.names[trace.name[row]],
            int(trace.start_ns[row]) - EPOCH_NS,
            int(trace.end_ns[row]) - EPOCH_NS,
        )
        for row in trace.rows(category)
    ]


def test_a_process_with_a_gpu_is_a_trace(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200, launched=50)
    export.kernel(12, "other", 120, 240, device=1)
    export.copy(11, 1, 300, 310)
    first, second = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert rows_of(first, Category.KERNEL) == [("gemm", 100, 200)]
    assert rows_of(first, Category.MEMCPY) == [("Memcpy HtoD", 300, 310)]
    assert rows_of(first, Category.LAUNCH) == [("cudaLaunchKernel_v7000", 50, 51)]
    assert rows_of(second, Category.KERNEL) == [("other", 120, 240)]
    kernel, launch = first.rows(Category.KERNEL)[0], first.rows(Category.LAUNCH)[0]
    assert first.correlation[kernel] == first.correlation[launch]
    assert first.threads[first.thread[launch]] == ("11", "11")
    assert (first.thread[kernel], second.device[second.rows(Category.KERNEL)[0]]) == (-1, 1)


def test_ranges_are_steps_operators_and_annotations(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200, launched=50)
    export.range(11, "iteration12", 0, 500)
    export.range(11, "forward_step", 10, 60, inline=True)
    export.range(11, "aten::mm, seq = 3, op_id = 314307", 20, 40)
    export.range(11, "never ended", 30, None)
    export.range(12, "of another process", 30, 40)
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert rows_of(trace, Category.ANNOTATION) == [
        ("ProfilerStep#12", 0, 500),
        ("forward_step", 10, 60),
    ]
    assert rows_of(trace, Category.OPERATOR) == [("aten::mm", 20, 40)]


@pytest.mark.parametrize(
    "text",
    ["iteration12", "Iteration 12", "step 12", "step_12", "train_step_12", "iter#12", "Step: 12"],
)
def test_step_marks_of_training_loops(text: str, export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200)
    export.range(11, text, 0, 500)
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert rows_of(trace, Category.ANNOTATION) == [("ProfilerStep#12", 0, 500)]


@pytest.mark.parametrize("text", ["optimizer step", "step", "iteration", "step12b", "12"])
def test_other_texts_mark_no_step(text: str, export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200)
    export.range(11, text, 0, 500)
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert rows_of(trace, Category.ANNOTATION) == [(text, 0, 500)]


def test_nccl_says_rank_group_peer_and_size(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "ncclDevKernel_SendRecv", 100, 200)
    export.communicator(11, 0xABC, ranks=4, rank=2)
    export.communicator(11, 0xDEF, ranks=2, rank=0)
    export.message(11, "ncclSend", 0xABC, 3, 10, 20)
    export.message(11, "ncclRecv", 0xABC, 1, 30, 40)
    export.message(11, "ncclSend", 0xDEF, 1, 42, 44)
    export.collective(11, "ncclAllReduce", 0xDEF, 50, 60)
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert trace.distributed == {
        "rank": 2,
        "world_size": 4,
        "communicators": [
            {"name": "nccl:abc", "ranks": 4, "rank": 2},
            {"name": "nccl:def", "ranks": 2, "rank": 0},
        ],
    }
    said = [
        (one.name, one.group, one.elements)
        for one in (trace.collectives[code] for code in trace.collective[trace.collective >= 0])
    ]
    assert said == [
        ("send", "nccl:abc/2>3", 4096),
        ("recv", "nccl:abc/1>2", 4096),
        ("send", "nccl:def/0>1", 4096),
        ("allreduce", "nccl:def", 4096),
    ]


def test_a_copy_between_devices_is_one_whatever_its_kind(export: Export, tmp_path: Path) -> None:
    export.copy(11, 8, 100, 110, srcDeviceId=0, dstDeviceId=1)
    export.copy(11, 8, 120, 130, srcDeviceId=1, dstDeviceId=1)
    export.copy(11, 10, 140, 150)
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert [name for name, _, _ in rows_of(trace, Category.MEMCPY)] == [
        "Memcpy PtoP",
        "Memcpy DtoD",
        "Memcpy PtoP",
    ]


def test_kernels_without_a_device_in_a_file_without_threads_are_read(
    export: Export, tmp_path: Path
) -> None:
    export.kernel(11, "gemm", 100, 200, device=None)  # type: ignore[arg-type]
    (tables,) = read_file(export.write(tmp_path / "a.sqlite"), 0)
    assert len(tables.events) == 1


def test_kernels_without_a_stream_in_a_file_without_threads_have_a_lane(
    export: Export, tmp_path: Path
) -> None:
    export.kernel(11, "gemm", 100, 200, stream=None)  # type: ignore[arg-type]
    (tables,) = read_file(export.write(tmp_path / "a.sqlite"), 0)
    assert tables.events["lane"].tolist() == ["stream of no name"]


def test_what_was_not_recorded_is_said_with_the_flag(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200)
    without = ("NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_RUNTIME", "ThreadNames")
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite", without))
    said = "; ".join(trace.damage)
    assert "--trace=cuda,nvtx" in said
    assert "no launches were recorded" in said


def test_an_export_without_kernels_says_how_to_record_them(export: Export, tmp_path: Path) -> None:
    export.range(11, "iteration1", 0, 10)
    with pytest.raises(DpprofError, match=r"a\.sqlite: .*without GPU kernels; record with nsys"):
        read_nsys(export.write(tmp_path / "a.sqlite", ("CUPTI_ACTIVITY_KIND_KERNEL",)))


def test_rows_of_the_wrong_type_are_left_out_and_counted(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200)
    export.kernel(11, "gemm", "soon", 300)  # type: ignore[arg-type]
    (trace,) = read_nsys(export.write(tmp_path / "a.sqlite"))
    assert rows_of(trace, Category.KERNEL) == [("gemm", 100, 200)]
    assert trace.unread.work == 1


def test_a_view_that_works_for_ever_is_not_read(export: Export, tmp_path: Path) -> None:
    export.copy(11, 1, 1, 2)
    file = export.write(tmp_path / "a.sqlite", ("CUPTI_ACTIVITY_KIND_KERNEL",))
    connection = sqlite3.connect(file)
    connection.execute(
        "CREATE VIEW CUPTI_ACTIVITY_KIND_KERNEL AS WITH RECURSIVE c(start) AS "
        "(SELECT 1 UNION ALL SELECT start + 1 FROM c) SELECT start FROM c"
    )
    connection.commit()
    connection.close()
    (trace,) = read_nsys(file)
    assert not len(trace.rows(Category.KERNEL))


def test_a_folder_of_parquet_files_says_the_same(export: Export, tmp_path: Path) -> None:
    export.kernel(11, "gemm", 100, 200, launched=50)
    export.kernel(11, "gemm", None, 300)  # type: ignore[arg-type]
    export.communicator(11, 5, ranks=2, rank=1)
    export.message(11, "ncclSend", 5, 0, 10, 20)
    file = export.write(tmp_path / "a.sqlite")
    folder = export.write_parquet(tmp_path / "a_pqtdir")
    (one,), (other,) = read_nsys(file), read_nsys(folder)
    for name in TraceColumns.__dataclass_fields__:
        mine, its = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, its)
        elif name != "memory":
            assert mine == its, name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory: Any, seed: int, changes: int) -> None:
    export, chance = Export(), random.Random(seed)
    for number in range(20):
        export.kernel(11, f"kernel {number}", number * 10, number * 10 + 5, launched=number)
    export.communicator(11, 5, 2, 1)
    file = export.write(tmp_path_factory.mktemp("nsys") / "a.sqlite")
    data = bytearray(file.read_bytes())
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.randrange(256)
    file.write_bytes(data[: chance.randrange(len(data) // 2, len(data) + 1)])
    with suppress(DpprofError):
        traces = read_nsys(file)
        assert all(len(trace.start_ns) == len(trace.name) for trace in traces)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([11, 12, 13]),
            st.integers(0, 3),
            st.integers(0, 10**6),
            st.integers(0, 10**4),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_busy_time_of_every_device_is_that_of_the_rows(tmp_path_factory: Any, rows: Any) -> None:
    export, truth = Export(), Counter[tuple[int, int]]()
    for pid, device, start, length in rows:
        export.kernel(pid, "k", start, start + length, device=device)
        truth[pid, device] += length
    traces = read_nsys(export.write(tmp_path_factory.mktemp("nsys") / "a.sqlite"))
    found = Counter[tuple[int, int]]()
    for pid, trace in zip(sorted({row[0] for row in rows}), traces, strict=True):
        kernels = trace.rows(Category.KERNEL)
        lengths = trace.end_ns[kernels] - trace.start_ns[kernels]
        for device in np.unique(trace.device[kernels]).tolist():
            found[pid, device] += int(lengths[trace.device[kernels] == device].sum())
    assert found == truth


@pytest.mark.skipif(not SHARED.exists(), reason="the public exports are not here")
def test_a_real_export_agrees_with_sql_to_the_nanosecond() -> None:
    file = SHARED / "h100_2gpu_1s.sqlite"
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)
    for trace, pid in zip(read_nsys(file), (281476838981632, 281476855758848), strict=True):
        for category, table in zip(DEVICE_CATEGORIES, ("KERNEL", "MEMCPY", "MEMSET"), strict=True):
            query = f"SELECT count(*), sum(end - start) FROM CUPTI_ACTIVITY_KIND_{table} "
            counted = connection.execute(query + "WHERE globalPid = ?", (pid,)).fetchone()
            own = trace.rows(category)
            assert counted == (len(own), int((trace.end_ns - trace.start_ns)[own].sum()))
