"""Public traces that nobody here made; figures of shared/data/README.md, computed elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.reporters import render
from dpprof.runs.run import Run
from dpprof.tables.intervals import make_intervals, total_length, union
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.load import load_run


@cache
def load(file: Path) -> Run:
    return load_run(file)


def spans(events):
    return make_intervals(events["start_ns"], events["end_ns"])


def test_deepseeks_profile(shared_data: Path) -> None:
    run = load(shared_data / "deepseek_train.json.gz")
    events = run.events
    assert (run.used_steps, set(events["step"])) == ((1,), {1})
    communication = union(spans(events[events["kind"].isin(COMMUNICATION_KINDS)]))
    compute = union(spans(events[events["kind"] == "compute"]))
    total = total_length(communication)
    exposed = total_length(union(communication, compute)) - total_length(compute)
    assert (total, total - exposed, exposed) == (113_030_000, 108_868_000, 4_162_000)
    assert events["end_ns"].max() - events["start_ns"].min() == 129_012_000
    by_kind = events["kind"].value_counts()
    assert (by_kind["dispatch"], by_kind["combine"], by_kind["comm_other"]) == (8, 8, 16)
    moved = events[events["kind"].isin(["dispatch", "combine"])]
    assert (moved["kind"].astype(str) == moved["component"].astype(str)).all()
    assert set(moved["layer"]) == {0, 1, 2, 3}
    assert set(moved["operation"]) == {"F&B"}


def test_torchrecs_sendrecv_are_all_to_all_and_three_ranks_wait_for_the_fourth(
    shared_data: Path,
) -> None:
    events = load(shared_data / "torchrec_a2a_optimizer").events
    moved = events[events["kind"] == "all_to_all"]
    assert (len(moved), (events["kind"] == "p2p").sum()) == (51, 0)
    split = moved[moved["ready_ns"] >= 0]
    wait = (np.minimum(split["ready_ns"], split["end_ns"]) - split["start_ns"]).clip(lower=0)
    seconds = wait.groupby(split["rank"]).sum() / 1e9
    assert seconds.round(1).to_dict() == {0: 3.0, 1: 3.0, 2: 0.0, 3: 3.0}


def test_nanogpts_collectives_are_matched_on_eight_ranks(shared_data: Path) -> None:
    run = load(shared_data / "nanogpt_8_h100")
    assert run.used_steps == (10, 11, 12, 13)
    inside = run.events[run.events["step"] >= 0]
    moved = inside[inside["kind"].isin(COMMUNICATION_KINDS)]
    assert len(moved) == 448
    assert (moved["ready_ns"] >= 0).all()
    assert (moved["ready_ns"] < moved["end_ns"]).all()


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        (
            "amd/mi300x_ddp_rank0.json.gz",
            {"compute": 2978, "memory": 658, "all_reduce": 6, "broadcast": 6, "comm_other": 5},
        ),
        ("hta/cpu_only_rank34.json.gz", {"compute": 1442, "all_reduce": 10}),
        (
            "hta/diff_control_a100.json.gz",
            {"compute": 8508, "memory": 882, "all_to_all": 42, "all_reduce": 18},
        ),
        (
            "hta/v100_comm_and_memory.json.gz",
            {"compute": 17350, "memory": 2920, "all_reduce": 2020},
        ),
        ("legacy/v100_2021_resnet50.json.gz", {"compute": 8868, "memory": 390}),
        (
            "lightllm_decode_overlap_8_h200/rank0.json.gz",
            {"compute": 4123, "dispatch": 232, "combine": 232, "memory": 55},
        ),
    ],
)
def test_kinds(shared_data: Path, file: str, kinds: dict[str, int]) -> None:
    run = load(shared_data / file)
    counts = run.events["kind"].value_counts()
    assert {kind: count for kind, count in counts.items() if count} == kinds
    assert (run.events["ready_ns"] == -1).all()


def test_memory_curves(shared_data: Path) -> None:
    run = load(shared_data / "hta/v100_comm_and_memory.json.gz")
    assert (run.memory["reserved_bytes"] >= run.memory["allocated_bytes"]).all()
    assert run.memory["allocated_bytes"].min() > 0


def test_a_real_decode_of_two_micro_batches(shared_data: Path) -> None:
    report = analyze(load(shared_data / "lightllm_decode_overlap_8_h200/rank0.json.gz"))
    rows = {one.kind: one for one in report.halves}
    assert {kind: one.calls for kind, one in rows.items()} == {"dispatch": 116, "combine": 116}
    for one in rows.values():
        assert 0.9 * one.between_ns < one.possible_ns < one.between_ns
        assert one.between_ns > 2 * (one.send_ns + one.receive_ns)
    text = render(report, "table")
    assert "Possible hiding" in text
    assert "no trace tells how much" in text
