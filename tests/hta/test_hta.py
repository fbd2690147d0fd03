"""HTA on our tables: the same figures as ours, our kinds in force, failures that explain."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpprof
from dpprof.hta import trace_analysis
from dpprof.hta.kinds import CommunicationName, name_by_class
from dpprof.hta.legacy_frame import LegacyFrame
from dpprof.hta.stragglers import waits_by_cause
from dpprof.runs.run import Run
from dpprof.tables.intervals import intersection_length, make_intervals, total_length, union
from dpprof.tables.kinds import COMMUNICATION_KINDS

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NCCL = [
    "amd/mi300x_ddp_rank0.json.gz",
    "hta/diff_control_a100.json.gz",
    "hta/diff_test_v100.json.gz",
    "hta/v100_comm_and_memory.json.gz",
    "nanogpt_8_h100",
    "torchrec_a2a_optimizer",
]
DEEPEP = ["deepseek_train.json.gz", "lightllm_decode_overlap_8_h200"]


def hidden_per_cent(run: dpprof.LoadedRun) -> dict[int, float]:
    """Rank -> our unsplit figure, over the used steps."""
    found = {}
    for figures in run.report().ranks:
        share = figures.including_wait.hidden_ns / figures.including_wait.communication_ns
        assert figures.including_wait.hidden_share == (None if figures.hidden_reason else share)
        found[figures.rank] = 100 * share
    return found


def hidden_of_launched(run: dpprof.LoadedRun, rank: int) -> float:
    """The same of what the used steps launched, whenever it ran: HTA takes steps so."""
    events = run.run.held.of_rank(rank)
    events = events[events["step"].isin(run.used_steps)]
    chosen = [events["kind"].isin(COMMUNICATION_KINDS), events["kind"] == "compute"]
    moving, computing = (
        union(make_intervals(events["start_ns"][one], events["end_ns"][one])) for one in chosen
    )
    return 100 * intersection_length(moving, computing) / total_length(moving)


@pytest.mark.parametrize("name", [*NCCL, *DEEPEP])
def test_hta_gives_our_unsplit_overlap_on_our_tables(public_run, hta, name):
    run = public_run(name, whole_trace=True)  # HTA takes steps by launch, not by when work ran
    analysis = trace_analysis(run)
    assert isinstance(analysis, hta.TraceAnalysis)
    found = analysis.get_comm_comp_overlap(visualize=False).set_index("rank").iloc[:, 0]
    assert found.index.tolist() == list(run.ranks)
    assert found.to_dict() == pytest.approx(hidden_per_cent(run), abs=0.0051)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torchrec_a2a_optimizer", "torchrec_a2a_optimizer/rank2.json.gz"),
        ("hta/diff_control_a100.json.gz", "hta/diff_control_a100.json.gz"),
        ("nanogpt_8_h100", "nanogpt_8_h100/rank0.json.gz"),
    ],
)
def test_hta_gives_our_unsplit_overlap_when_it_reads_the_trace(
    public_run, hta, name, file, monkeypatch
):
    # By default it cuts kernels, which may take two microseconds, to whole ones.
    monkeypatch.setenv("HTA_DISABLE_NS_ROUNDING", "1")
    run = public_run(name)
    path = DATA / file
    rank = next(rank for rank, one in run.run.files.items() if one == path)
    read = hta.TraceAnalysis({rank: str(path)}, "/tmp", include_last_profiler_step=True)
    frame, symbols = read.t.traces[rank], read.t.symbol_table.get_sym_table()
    # Triton's launches name a stream, which HTA takes for the sign of work on the GPU.
    on_host = [symbols[code] == "cpu_op" for code in frame["cat"]]
    read.t.traces[rank] = frame[~np.array(on_host) & (frame["iteration"].isin(run.used_steps))]
    found = read.get_comm_comp_overlap(visualize=False).iloc[0, 1]
    assert found == pytest.approx(hidden_of_launched(run, rank), abs=0.0051)


def test_deepep_is_communication_and_its_helpers_are_computation(public_run):
    run = public_run("deepseek_train.json.gz")
    analysis = trace_analysis(run)
    kinds, _ = analysis.get_gpu_kernel_breakdown(visualize=False)
    times = dict(zip(kinds["kernel_type"], kinds["sum"], strict=True))
    events = run.events
    moving = events[events["kind"].isin(COMMUNICATION_KINDS)]
    spans = union(make_intervals(moving["start_ns"], moving["end_ns"]))
    assert times["COMMUNICATION"] + times["COMPUTATION overlapping COMMUNICATION"] == pytest.approx(
        total_length(spans) / 1000,
        abs=36,  # HTA cuts each interval to whole microseconds
    )


def test_the_analyses_that_fail_with_pandas_3_run(public_run, tmp_path):
    run = public_run("torchrec_a2a_optimizer")
    analysis = trace_analysis(run)
    graph, success = analysis.critical_path_analysis(
        rank=0, annotation="ProfilerStep", instance_id=0
    )
    assert success
    assert graph.critical_path_nodes
    sequences = analysis.get_frequent_cuda_kernel_sequences(
        "aten::addmm", str(tmp_path), min_pattern_len=1
    )
    assert len(sequences)
    marked = json.loads(gzip.decompress((tmp_path / "overlaid_rank0.json.gz").read_bytes()))
    launched = [one for one in marked["traceEvents"] if "Patterns" in str(one.get("args", ""))]
    assert {"aten::addmm", "cudaLaunchKernel"} <= {one["name"] for one in launched}


def test_stragglers_are_those_whom_the_others_wait_for(public_run):
    analysis = trace_analysis(public_run("torchrec_a2a_optimizer"))
    assert analysis.get_potential_stragglers(num_candidates=1) == [2]
    # HTA's own rule compares kernels of 1 % of the step, which the straggler's hardly are.
    from hta.analyzers.straggler import find_stragglers_with_late_start_comm_kernels as late_start

    found = analysis.get_potential_stragglers(
        num_candidates=1, straggler_identification_impl=late_start
    )
    assert found == [0]


def test_without_matched_communications_hta_says_who_straggles(public_run):
    run = public_run("torchrec_a2a_optimizer").run
    unmatched = Run(
        **{field.name: getattr(run, field.name) for field in fields(run)}
        | {"events": run.events.assign(ready_ns=-1), "held": None}
    )
    assert not waits_by_cause(unmatched, [4, 5, 6]).any()
    assert trace_analysis(unmatched).get_potential_stragglers(num_candidates=1) == [0]
    waits = waits_by_cause(run, [4, 5, 6])
    assert waits.idxmax() == 2
    assert waits[2] / 1e9 == pytest.approx(9.0, abs=0.3)  # three ranks, three steps, a second each


def test_failures_name_the_analysis_and_the_reason(public_run):
    analysis = trace_analysis(public_run("hta/diff_control_a100.json.gz"))
    with pytest.raises(dpprof.DpprofError, match="get_potential_stragglers compares ranks"):
        analysis.get_potential_stragglers()
    with pytest.raises(dpprof.DpprofError, match=r"get_cupti.*not read"):
        analysis.get_cupti_counter_data_with_operators()
    with pytest.raises(dpprof.DpprofError, match=r"HTA's get_queue_length_summary failed"):
        analysis.get_queue_length_summary(ranks=[77])


def test_a_simulated_run_is_handed_over_too():
    from dpprof.costs.load import load_costs
    from dpprof.schedules.registry import make_schedule
    from dpprof.simulate.run import simulated_run

    run = simulated_run(make_schedule("dualpipe", 4, 8), load_costs("unit-components"))
    found = trace_analysis(run).get_comm_comp_overlap(visualize=False)
    loaded = dpprof.LoadedRun(run)
    expected = list(hidden_per_cent(loaded).values())
    assert found.iloc[:, 1].tolist() == pytest.approx(expected, abs=0.0051)


def test_names_of_several_classes_are_told_apart():
    columns = ["name", "class", "dur"]
    rows = [["copy", "memory", 9.0], ["copy", "communication", 4.0], ["aten::copy", "", 1.0]]
    frames = {0: pd.DataFrame(rows, columns=columns)}
    assert name_by_class(frames) == {"copy": "memory", "copy (communication)": "communication"}
    assert frames[0]["name"].tolist() == ["copy", "copy (communication)", "aten::copy"]


def test_names_that_communicate_are_texts_as_all_others():
    name = CommunicationName("dispatch")
    assert (name, hash(name)) == ("dispatch", hash("dispatch"))
    assert name.startswith("ncclKernel")
    assert name.startswith("dis")
    assert not name.startswith("nccl")


def test_the_frame_answers_as_pandas_2_did():
    frame = LegacyFrame({"kind": pd.Series(["ts", "end"], dtype=object), "time": [1, 2]})
    assert frame.drop(axis=1, columns=["time"]).columns.tolist() == ["kind"]
    assert frame.drop(axis=1, labels="kind").columns.tolist() == ["time"]
    assert frame.drop(index=0)["time"].tolist() == [2]
    replaced = frame.replace({"ts": -1, "end": 1})
    assert replaced.to_numpy().dtype == np.int64
    assert isinstance(replaced[["kind"]], LegacyFrame)
