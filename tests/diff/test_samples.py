"""The samples in the repository: 1F1B beside DualPipe, and beside their own simulation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.api import LoadedRun
from dpprof.trace.load import load_run


def test_dualpipe_beside_1f1b(sample_diff, diffs):
    """The whole of the job, in nanoseconds over 2 steps of 4 ranks."""
    diff = sample_diff
    assert (diff.steps, diff.rank_count, diff.notes) == (2, 4, [])
    assert [one.what for one in diff.differs] == ["schedule"]
    top = diffs.times(diff.time)
    assert list(top) == ["computing", "exposed", "memory", "bubble"]
    assert sum(new - base for base, new in top.values()) == diff.time.change_ns
    assert diff.time.effect is not None
    assert diff.time.effect.significant
    computing = diffs.find(diff.time, "computing")
    assert computing.effect is not None
    assert not computing.effect.significant  # the same work
    assert [part.name for part in diff.work.parts] == ["same work"]
    hidden = diffs.find(diff.time, "exposed", "exposed.combine", "hidden under computing")
    assert hidden.change_ns < 0
    bubble = diffs.find(diff.time, "bubble")
    assert bubble.change_ns < 0.5 * diff.time.change_ns
    assert {part.name for part in diffs.find(bubble, "bubble.dependency").parts} >= {"B", "F"}
    assert {part.name for part in diffs.find(diff.ranks[0].time, "bubble").parts} >= {
        "bubble.dependency"
    }


def test_a_run_beside_its_simulation_does_the_same_work(sample_run, diffs):
    """Ideal against real: what the host and the messages take appears, the work stays."""
    run = sample_run("dualpipe")
    diff = diff_runs(LoadedRun(run).simulate().run, run)
    assert diff.base.source == "simulated"
    assert diff.alignment.by == ["stage", "micro_batch", "operation", "component", "layer"]
    assert [part.name for part in diff.work.parts] == ["same work"]
    assert diff.work.new_ns == pytest.approx(diff.work.base_ns, rel=0.02)
    host = diffs.find(diff.time, "bubble", "bubble.host")
    assert host.base_ns == 0
    assert host.new_ns > 0
    assert diff.memory.change_bytes is not None
    assert abs(diff.memory.change_bytes) < 0.01 * (diff.memory.base_bytes or 0)


def test_a_loaded_run_compares_itself(sample_run, sample_diff):
    assert LoadedRun(sample_run("dualpipe")).diff(LoadedRun(sample_run("1f1b"))) == sample_diff


def test_ranks_say_whom_they_waited_for(sample_diff, diffs):
    waits = diffs.find(sample_diff.ranks[0].time, "bubble", "bubble.dependency")
    assert {part.cause.rank for part in waits.parts} == {1}
    assert {part.cause.kind for part in waits.parts} <= {"input", "receiver"}


def test_a_rank_that_is_missing_leaves_its_stage_to_the_other_side(sample_run, diffs, tmp_path):
    """Rank 3 holds stage 3 of 1F1B; of DualPipe rank 0 holds it as well."""
    folder = tmp_path / "1f1b"
    traces = Path(__file__).resolve().parents[2] / "traces" / "1f1b"
    shutil.copytree(traces, folder, ignore=shutil.ignore_patterns("rank3*"))
    diff = diff_runs(load_run(str(folder)), sample_run("dualpipe"))
    assert [rank.new_rank for rank in diff.ranks] == [0, 1, 2]
    assert diff.notes[0].startswith("BASE has no rank 3: left out on the other side too")
    assert diff.alignment.by == ["stage", "micro_batch", "operation", "component", "layer"]
    assert [(one.stage, one.base_ranks, one.new_ranks) for one in diff.stages if one.time.parts][
        3
    ] == (3, [], [0])
    assert set(diffs.times(diff.work)) == {"same work", "added", "removed"}
    stages = [one.time for one in diff.stages]
    assert sum(one.change_ns for one in stages) == diff.time.change_ns
