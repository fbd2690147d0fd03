"""Schedules are recognised from annotations that are not ours, and only if they are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.schedules.actions import slot_text
from dpprof.schedules.registry import make_schedule
from dpprof.tables.labels import Label
from dpprof.trace.load import load_run
from dpprof.trace.recognise.observed_schedule import AS_RUN

WORKER = Path(__file__).parent / "pipelining_worker.py"
KNOWN = {"GPipe": "gpipe", "ZBVZeroBubble": "zbv", "DualPipeV": "dualpipev"}
OTHERS = ("InterleavedZeroBubble", "LoopedBFS", "Interleaved1F1B")


@pytest.fixture(scope="module")
def torch_runs(tmp_path_factory) -> Path:
    pytest.importorskip("torch", reason="runs torch.distributed.pipelining")
    folder = tmp_path_factory.mktemp("pipelining")
    names = [*KNOWN, *OTHERS]
    for name in names:
        (folder / name).mkdir()
    command = [sys.executable, str(WORKER)]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(folder), *names],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors.decode()[-2000:]
    return folder


@pytest.mark.parametrize(("torch_name", "name"), KNOWN.items())
def test_real_torch_schedules(torch_runs: Path, torch_name: str, name: str) -> None:
    run = load_run(torch_runs / torch_name)
    assert run.schedule == make_schedule(name, 2, 8)
    stages = run.schedule.placement.stages if name != "gpipe" else ((), ())
    assert [(one.pp_rank, tuple(one.stages)) for one in run.places] == list(enumerate(stages))
    for rank, expected in enumerate(run.schedule.ranks):
        slots = run.slots[run.slots["rank"] == rank]
        assert slots["slot"].tolist() == list(map(slot_text, expected))
    report = analyze(run)
    assert (report.schedule, report.pp, report.micro_batches) == (name, 2, 8)
    assert report.ideal is None  # whoever waits for whom is not in traces without record_shapes
    assert any("unmatched-messages" in warning for warning in report.warnings)
    for rank in report.ranks:
        memory = rank.memory
        assert memory.activation_bytes + memory.rest_bytes == memory.peak_allocated_bytes
        assert memory.activation_bytes >= 64 * sum(memory.in_flight.values())


@pytest.mark.parametrize(
    ("torch_name", "name", "operations"),
    [
        ("InterleavedZeroBubble", AS_RUN, {"F", "I", "W"}),
        ("LoopedBFS", AS_RUN, {"F", "B"}),
        ("Interleaved1F1B", "interleaved-1f1b", {"F", "B"}),
    ],
)
def test_real_torch_schedules_of_several_chunks(
    torch_runs: Path, torch_name: str, name: str, operations: set[str]
) -> None:
    run = load_run(torch_runs / torch_name)
    assert [tuple(place.stages) for place in run.places] == [(0, 2), (1, 3)]
    assert set(run.slots["operation"]) == operations
    assert (run.schedule.name, run.schedule.micro_batches) == (name, 8)
    for rank, expected in enumerate(run.schedule.ranks):
        slots = run.slots[run.slots["rank"] == rank].sort_values("start_ns")
        assert slots["slot"].tolist() == list(map(slot_text, expected))
    assert analyze(run).ideal is None


NAMES = {"F": "forward_step", "B": "backward_step"}


def write_counted(build, folder: Path, orders, name_of=NAMES.get) -> Path:
    """One trace per rank: annotations without micro-batches, messages between neighbours."""
    for rank, order in enumerate(orders):
        events = [build.step(5, 0, 10_000)]
        kernel = type(build.kernel)()
        for number, operation in enumerate(order):
            at = 100 * number + 2 * rank * (1 if operation == "F" else -1) + 50
            events += [build.annotation(name_of(operation), at, 90)]
            events += kernel("gemm", at + 1, at + 5, 80)
            events += kernel("ncclDevKernel_SendRecv", at + 92, at + 93, 2, stream=9)
        info = {"rank": rank, "world_size": len(orders)}
        build.write(folder / f"rank{rank}.json", events, distributedInfo=info)
    return folder


def letters(name: str, pp: int, micro_batches: int) -> list[str]:
    ranks = make_schedule(name, pp, micro_batches).ranks
    return ["".join(slot[0].operation.value for slot in rank) for rank in ranks]


@pytest.mark.parametrize(
    ("name", "orders", "pp_ranks"),
    [
        ("1f1b", letters("1f1b", 4, 6), [0, 1, 2, 3]),
        ("1f1b", [order for order in letters("1f1b", 2, 4) for _ in range(2)], [0, 0, 1, 1]),
        ("gpipe", ["FFFBBB"] * 2, [0, 1]),
        (None, ["FBFBFB"] * 2, None),
        (None, ["FFBBFB", "FBFFBB"], None),
    ],
)
def test_annotations_that_name_no_micro_batch(
    build, tmp_path: Path, name, orders, pp_ranks
) -> None:
    run = load_run(write_counted(build, tmp_path, orders))
    assert (run.schedule and run.schedule.name) == name
    first = run.slots[run.slots["rank"] == 0]["slot"].tolist()
    counts = {"F": 0, "B": 0}
    for slot, letter in zip(first, orders[0], strict=True):
        assert slot == f"{letter}0.{counts[letter]}"
        counts[letter] += 1
    gemm = run.events[(run.events["rank"] == 0) & (run.events["name"] == "gemm")]
    assert gemm["slot"].tolist() == first
    assert gemm["micro_batch"].tolist() == [int(slot.partition(".")[2]) for slot in first]
    if pp_ranks is not None:
        assert [place.pp_rank for place in run.places] == pp_ranks


@pytest.mark.parametrize("forward", ["forward-compute", "PipelineEngine._exec_forward_pass"])
def test_other_names(build, tmp_path: Path, forward: str) -> None:
    names = {"F": forward, "B": forward.replace("forward", "backward")}
    run = load_run(write_counted(build, tmp_path, letters("1f1b", 3, 5), names.get))
    assert run.schedule == make_schedule("1f1b", 3, 5)


def test_ranks_that_exchange_no_messages_are_no_pipeline(build, tmp_path: Path) -> None:
    for rank, order in enumerate(letters("1f1b", 2, 4)):
        spans = [build.annotation(NAMES[one], 10 * i, 9) for i, one in enumerate(order)]
        kernels = [build.kernel("k", 10 * i + 1, 10 * i + 2, 3) for i in range(len(order))]
        info = {"rank": rank, "world_size": 2}
        build.write(tmp_path / f"rank{rank}.json", [*spans, *kernels], distributedInfo=info)
    run = load_run(tmp_path)
    assert (run.schedule, len(run.slots)) == (None, 16)


def test_our_own_labels_without_a_manifest(build, tmp_path: Path) -> None:
    schedule = make_schedule("dualpipe", 4, 8)
    for rank, slots in enumerate(schedule.ranks):
        events = []
        for number, slot in enumerate(slots):
            text = slot_text(slot)
            events += [
                build.annotation(str(Label(kind="slot", slot=text)), 10 * number, 9),
                build.annotation(str(Label(kind="compute", slot=text)), 10 * number, 8),
            ]
        build.write(tmp_path / f"rank{rank}.json", events, dpprof={"rank": rank, "pp_rank": rank})
    assert load_run(tmp_path).schedule == schedule
    (tmp_path / "rank3.json").unlink()
    assert load_run(tmp_path).schedule is None
