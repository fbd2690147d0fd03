"""Memory snapshots beside the traces: found, joined with the profiler's curve, reported."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.cli import run as dpprof
from dpprof.errors import DpprofError
from dpprof.runs.host_slots import host_slots
from dpprof.runs.manifest import RankPlace
from dpprof.tables.columns import CLOCKS, make_table
from dpprof.trace.load import load_run
from dpprof.trace.memory.join_snapshots import with_snapshots
from dpprof.trace.memory.snapshot_files import ranks_of

FRAMES = {
    "parameter": [{"filename": "/torch/nn/parameter.py", "line": 1, "name": "__new__"}],
    "forward": [{"filename": "/torch/nn/modules/linear.py", "line": 1, "name": "forward"}],
    "backward": [{"filename": "/torch/autograd/graph.py", "line": 1, "name": "backward"}],
    "optimizer": [{"filename": "/torch/optim/adam.py", "line": 1, "name": "_init_group"}],
    "exchange": [{"filename": "/torch/distributed/distributed_c10d.py", "line": 1, "name": "x"}],
}
KIB = 1024
# (made by, allocated at, freed at, KiB): at 60 µs all but the temporary are there
MADE = [
    ("parameter", 1, None, 8),
    ("optimizer", 2, None, 16),
    ("exchange", 3, None, 2),
    ("forward", 12, 14, 32),
    ("forward", 13, 70, 4),
    ("forward", 30, 90, 4),
    ("backward", 55, None, 8),
    ("other", 60, 61, 1),
]
SLOTS = [("F0.0", 10, 20), ("F0.1", 28, 40), ("B0.0", 50, 72), ("B0.1", 80, 95)]
PEAK_PARTS = {
    "parameter_bytes": 8 * KIB,
    "gradient_bytes": 8 * KIB,
    "optimizer_bytes": 16 * KIB,
    "activation_bytes": 8 * KIB,
    "communication_bytes": 2 * KIB,
    "rest_bytes": 1 * KIB,
}


def snapshot(offset_us: int = 0) -> dict[str, Any]:
    entries, blocks = [], []
    for number, (maker, born, died, kib) in enumerate(MADE):
        frames = FRAMES.get(maker, [{"filename": "a.py", "line": 1, "name": "f"}])
        place = {"addr": number * 2**20, "size": kib * KIB, "stream": 0, "frames": frames}
        entries.append({"action": "alloc", "time_us": offset_us + born, **place})
        if died is None:
            state = {"state": "active_allocated", "requested_size": kib * KIB}
            blocks.append({"address": place["addr"], "size": kib * KIB, "frames": frames, **state})
        else:
            entries.append({"action": "free_requested", "time_us": offset_us + died, **place})
    entries.sort(key=lambda entry: entry["time_us"])
    segment = {"device": 0, "address": 0, "total_size": 2**23, "blocks": blocks}
    return {"segments": [segment], "device_traces": [entries]}


def write(file: Path, content: Any) -> Path:
    if file.suffix == ".json":
        file.write_text(json.dumps(content))
    else:
        file.write_bytes(pickle.dumps(content))
    return file


@pytest.fixture
def make(make_run, event):
    """A run of rank 0 with the slots above; `memory` are (µs, bytes) of the profiler."""

    def build(memory=(), **fields):
        rows = [(0, at * 1000, size) for at, size in memory]
        return make_run(
            [event(0, start * 1000, end * 1000) for _, start, end in SLOTS],
            slots=[
                {
                    "rank": 0,
                    "slot": text,
                    "operation": text[0],
                    "start_ns": start * 1000,
                    "end_ns": end * 1000,
                }
                for text, start, end in SLOTS
            ],
            memory=[
                {"rank": rank, "at_ns": at, "allocated_bytes": size, "reserved_bytes": 10**6}
                for rank, at, size in rows
            ],
            **fields,
        )

    return build


def figures(run, *names):
    memory = analyze(run).ranks[0].memory
    return {name: getattr(memory, name) for name in names}


def test_a_snapshot_alone_gives_the_curve_and_takes_the_peak_apart(make, tmp_path) -> None:
    run = with_snapshots(make(), {0: write(tmp_path / "rank0.pickle", snapshot())})
    # 32 KiB of temporaries in F0.0 make the peak: 8 + 16 + 2 + 32 + 4.
    memory = analyze(run).ranks[0].memory
    assert (memory.peak_allocated_bytes, memory.at_ns, memory.slot) == (62 * KIB, 13_000, "F0.0")
    assert (memory.activation_bytes, memory.rest_bytes) == (4 * KIB, 32 * KIB)
    assert memory.in_flight == {"0": 1}
    assert memory.peak_reserved_bytes == 2**23
    assert memory.reasons == []
    assert run.warnings == ()


def test_the_profilers_bytes_count_and_the_snapshot_says_what_they_are_for(make, tmp_path) -> None:
    run = make([(5, 100), (60, 43 * KIB), (65, 42 * KIB)])
    file = write(tmp_path / "rank0.snapshot.json", snapshot())
    joined = with_snapshots(run, {0: file})
    memory = analyze(joined).ranks[0].memory
    assert (memory.peak_allocated_bytes, memory.slot) == (43 * KIB, "B0.0")
    assert {name: getattr(memory, name) for name in PEAK_PARTS} == PEAK_PARTS
    assert sum(PEAK_PARTS.values()) == memory.peak_allocated_bytes
    assert memory.in_flight == {"0": 2}
    assert joined.warnings == (
        "rank 0: memory: the profiler's peak is 44032 bytes, the snapshot's 63488; the profiler's "
        "counts, what it is made of is the snapshot's",
    )


def test_what_the_manifest_says_comes_first(make, tmp_path) -> None:
    place = RankPlace(rank=0, pp_rank=0, parameter_bytes=7, gradient_bytes=8, optimizer_bytes=9)
    run = make([(60, 43 * KIB)], places=[place])
    joined = with_snapshots(run, {0: write(tmp_path / "a.pickle", snapshot())})
    names = ("parameter_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes")
    assert list(figures(joined, *names).values()) == [7, 8, 9, 8 * KIB]
    assert figures(run, *names, "rest_bytes") == {
        **dict(zip(names, [7, 8, 9, 43 * KIB - 24], strict=True)),
        "rest_bytes": None,
    }


def test_a_corrected_clock_corrects_the_snapshot(make, tmp_path) -> None:
    clocks = make_table(
        CLOCKS,
        {
            "rank": [0],
            "shift_ns": [-500_000],
            "drift_ppm": [0.0],
            "from_ns": [0],
            "residual_ns": [0],
            "matched": [1],
            "contradicted": [1],
        },
    )
    file = write(tmp_path / "a.pickle", snapshot(offset_us=500))
    late = with_snapshots(make(), {0: file})
    assert late.memory.empty
    assert "is of another time than the trace" in late.warnings[0]
    right = with_snapshots(make(clocks=clocks), {0: file})
    assert figures(right, "at_ns", "slot") == {"at_ns": 13_000, "slot": "F0.0"}


def test_without_history_a_snapshot_is_left_out(make, tmp_path) -> None:
    content = snapshot() | {"device_traces": []}
    run = with_snapshots(make(), {0: write(tmp_path / "a.pickle", content)})
    assert run.memory.empty
    assert "has no history" in run.warnings[0]


@pytest.mark.parametrize(
    ("said", "warned"),
    [(43 * KIB, False), (43 * KIB + 512, True), (50 * KIB, False), (None, False)],
)
def test_the_peak_is_compared_with_torchs_own(make, said, warned) -> None:
    place = RankPlace(rank=0, pp_rank=0, max_allocated_bytes=said)
    run = make([(-99, 50 * KIB), (60, 43 * KIB)], places=[place], used_steps=(0,))
    run.memory.loc[0, "step"] = -1  # before the steps
    report = analyze(run)
    found = [one for one in report.warnings if "max_memory_allocated" in one]
    assert bool(found) == warned
    assert report.ranks[0].memory.torch_peak_bytes == said
    if warned:
        assert "44032 bytes, torch's max_memory_allocated 44544 (-512)" in found[0]


def test_on_a_gpu_the_hosts_slots_count(make_run, event) -> None:
    rows = [
        event(0, 900, 950, slot="F0.0", operation="F", launch_ns=100),
        event(0, 950, 990, slot="F0.0", operation="F", launch_ns=150),
        event(0, 990, 999, slot="B0.0", operation="B", launch_ns=300),
    ]
    slots = [{"rank": 0, "slot": "F0.0", "start_ns": 900, "end_ns": 990, "operation": "F"}]
    run = make_run(rows, slots=slots, memory=[{"rank": 0, "at_ns": 200, "allocated_bytes": 5}])
    found = host_slots(run, 0)
    assert found[["slot", "start_ns", "end_ns"]].to_numpy().tolist() == [
        ["F0.0", 100, 151],
        ["B0.0", 150, 301],
    ]
    assert analyze(run).ranks[0].memory.slot == "B0.0"


def kernel(start: int, end: int) -> dict[str, Any]:
    event = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7}
    return event | {"ts": start, "dur": end - start, "args": {"stream": 7, "device": 0}}


def memory_event(at: int, total: int, **more: Any) -> dict[str, Any]:
    args = {"Device Type": 1, "Device Id": 0, "Bytes": 512, "Total Allocated": total} | more
    args |= {"Total Reserved": 2**23}
    return {"ph": "i", "name": "[memory]", "pid": 0, "tid": 1, "ts": at, "args": args}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    events = [kernel(10, 95), memory_event(5, 100), memory_event(60, 43 * KIB)]
    for rank in (0, 1):
        trace = {"traceEvents": events, "distributedInfo": {"rank": rank, "world_size": 2}}
        (tmp_path / f"rank{rank}.json").write_text(json.dumps(trace))
    return tmp_path


def parameter_bytes(path: Path, *, snapshots: Any = ()) -> list[int | None]:
    report = analyze(load_run(path, snapshots=snapshots))
    return [rank.memory.parameter_bytes for rank in report.ranks]


@pytest.mark.parametrize("name", ["rank0.pickle", "rank0_oom.pkl", "rank-00.snapshot.json"])
def test_files_beside_the_traces_are_found(folder: Path, name: str) -> None:
    write(folder / name, snapshot())
    assert parameter_bytes(folder) == [8 * KIB, None]


def test_several_files_of_one_rank_are_told_and_the_option_picks(folder: Path) -> None:
    first = write(folder / "rank1.pickle", snapshot())
    write(folder / "rank1_later.pickle", snapshot())
    run = load_run(folder)
    assert any("several memory snapshots (rank1.pickle, rank1_later" in one for one in run.warnings)
    assert parameter_bytes(folder, snapshots=[str(first)]) == [None, 8 * KIB]
    assert parameter_bytes(folder, snapshots=[f"0={first}"]) == [8 * KIB, None]


def test_run_json_lists_them_and_only_inside_its_folder(folder: Path) -> None:
    (folder / "memory").mkdir()
    write(folder / "memory" / "first.bin", snapshot())
    manifest = {"schema_version": 1, "source": "captured", "schedule": None, "device": "cuda"}
    manifest |= {"world_size": 2}
    for listed in ("memory/first.bin", "../first.bin", "/etc/passwd"):
        ranks = [{"rank": 0, "pp_rank": 0, "memory_snapshot": listed}, {"rank": 1, "pp_rank": 0}]
        (folder / "run.json").write_text(json.dumps(manifest | {"ranks": ranks}))
        if listed.startswith("memory"):
            assert parameter_bytes(folder) == [8 * KIB, None]
        else:
            with pytest.raises(DpprofError, match="outside the run folder"):
                load_run(folder)


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.target}",)


def test_a_hostile_file_is_not_run_wherever_it_comes_from(folder: Path, capsys) -> None:
    target = folder / "was_here"
    file = write(folder / "rank0.pickle", snapshot() | {"extra": Attack(target)})
    assert dpprof(["analyze", str(folder), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert any("an object, not plain data" in one for one in report["warnings"])
    assert report["ranks"][0]["memory"]["peak_allocated_bytes"] == 43 * KIB
    assert dpprof(["analyze", str(folder), "--memory-snapshot", str(file)]) == 2
    assert "rank0.pickle: the pickle holds an object" in capsys.readouterr().err
    assert not target.exists()


def test_the_report_shows_the_parts(folder: Path, capsys) -> None:
    write(folder / "rank0.pickle", snapshot())
    assert dpprof(["analyze", str(folder), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("| 0 | 43.00"))
    # static: 8 + 8 (there are no slots, and it outlasts the step) + 16
    assert row.split(" | ")[-4:] == ["32.00", "8.00", "2.00", "1.00 |"]


def test_which_file_is_whose() -> None:
    assert ranks_of(["rank3.pickle", "1=x.pkl"], [1, 3]) == {
        3: Path("rank3.pickle"),
        1: Path("x.pkl"),
    }
    assert ranks_of(["x.pkl"], [5]) == {5: Path("x.pkl")}
    for files, says in (
        (["x.pkl"], "its name says no rank; write 0=x.pkl"),
        (["7=x.pkl"], "is of rank 7, which the run does not have"),
        (["0=a", "rank0.pkl"], "both are of rank 0"),
    ):
        with pytest.raises(DpprofError, match=says):
            ranks_of(files, [0, 1])


def test_traces_that_give_changes_only_say_so(tmp_path: Path) -> None:
    events = [kernel(0, 9)]
    for at, change in ((1, 700), (2, -1000), (3, 512)):
        args = {"Device Type": 1, "Device Id": 0, "Bytes": change}
        events.append({"ph": "i", "name": "[memory]", "pid": 0, "tid": 1, "ts": at, "args": args})
    file = tmp_path / "rank0.json"
    file.write_text(json.dumps({"traceEvents": events}))
    run = load_run(file)
    assert run.memory["allocated_bytes"].tolist() == [1000, 0, 512]
    assert any("give changes, not totals" in one for one in run.warnings)


DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="no public traces beside the repository")
@pytest.mark.parametrize(
    ("name", "allocated", "reserved", "bound"),
    [
        ("hta/v100_comm_and_memory", 6_629_508_096, 12_782_141_440, False),
        ("legacy/v100_2021_resnet50", 2_791_505_408, None, True),
    ],
)
def test_public_traces(name: str, allocated: int, reserved: int | None, bound: bool) -> None:
    run = load_run(DATA / f"{name}.json.gz")
    memory = analyze(run).ranks[0].memory
    assert (memory.peak_allocated_bytes, memory.peak_reserved_bytes) == (allocated, reserved)
    assert any("lower bound" in warning for warning in run.warnings) == bound
    assert isinstance(run.memory, pd.DataFrame)
