"""The options of ``dpprof profile`` that change the model or where it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="profiling needs torch")

from dpprof.commands._experts import placement_for
from dpprof.commands._jobs import JobRequest, make_jobs
from dpprof.errors import DpprofError
from dpprof.runs.manifest import Manifest, write_manifest

GIVEN = {
    "schedule": None,
    "pp": 2,
    "ep": 1,
    "dp": 1,
    "micro_batches": None,
    "device": "cpu",
    "costs": "deepseek-v3",
    "model": "tiny",
    "layers": None,
    "sizes": (),
    "expert_load": None,
    "redundant_experts": 0,
    "share_gpus": False,
    "memory_history": False,
    "inject": (),
    "steps": 1,
    "warmup": 1,
    "seed": 0,
    "output": Path("out"),
    "force": False,
}


def jobs(**changes):
    return make_jobs(JobRequest(**(GIVEN | changes)))


def write_load(folder, load, **fields):
    folder.mkdir()
    header = {"schema_version": 1, "source": "captured", "schedule": None, "device": "cpu"}
    return write_manifest(
        folder, Manifest(**header, world_size=1, ranks=[], expert_load=load, **fields)
    ).parent


@pytest.mark.parametrize(("pp", "names"), [(1, ["dualpipev", "1f1b"]), (2, ["dualpipe", "1f1b"])])
def test_one_rank_runs_overlapped_pairs(pp, names):
    assert [job.schedule["schedule"] for job in jobs(pp=pp)] == names


def test_ranks_of_all_three_dimensions():
    (job,) = jobs(schedule="1f1b", pp=2, dp=3, ep=4)
    assert (job.world_size, job.pp, job.dp, job.ep) == (24, 2, 3, 4)


def test_sizes_are_changed_one_by_one():
    (job,) = jobs(schedule="1f1b", sizes=("routing=balanced", "top_k=3", "bias_speed=0.5"))
    sizes = job.sizes
    assert (sizes["routing"], sizes["top_k"], sizes["bias_speed"]) == ("balanced", 3, 0.5)


def test_experts_are_placed_by_a_runs_load(tmp_path):
    load = [[8, 1, 1, 1, 1, 1, 1, 2]] * 16
    run = write_load(tmp_path / "run", load)
    (job,) = jobs(schedule="1f1b", ep=2, expert_load=run, redundant_experts=2)
    placement = job.sizes["expert_placement"]
    assert len(placement) == 16
    assert len(placement[0]) == 10
    assert placement[0].count(0) == 3
    assert placement == placement_for(run, 1, 2, 2)


def test_groups_stay_on_a_machine(tmp_path, monkeypatch):
    """Four ranks, two a machine: the busy groups 0 and 1 go to different ones."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    run = write_load(tmp_path / "run", [[9, 9, 8, 8, 1, 1, 1, 1]])
    (placement,) = placement_for(run, 4, 4, 0)
    machines = [{expert // 2 for expert in placement[start : start + 4]} for start in (0, 4)]
    assert sorted(map(sorted, machines)) == [[0, 3], [1, 2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share_gpus": True}, "--share-gpus is for GPUs and this would run on cpu"),
        ({"memory_history": True}, "--memory-history is for GPUs"),
        ({"sizes": ("looped_ep=2",), "ep": 2}, "looped_ep 2 stands for expert-parallel ranks"),
        ({"sizes": ("wide=2",)}, "--set wide=2: give SIZE=VALUE, a size of bias_speed"),
        ({"sizes": ("top_k=3",), "device": "emulated"}, "--set top_k=3: the emulated device has"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    with pytest.raises(DpprofError, match=message):
        jobs(**changes)


def test_a_run_without_a_load_is_refused(tmp_path):
    run = write_load(tmp_path / "run", [])
    with pytest.raises(DpprofError, match=r"run.json: no load of experts was measured; profile"):
        jobs(expert_load=run)


def test_a_load_of_another_model_is_refused(tmp_path):
    run = write_load(tmp_path / "run", [[1] * 8])
    with pytest.raises(DpprofError, match="expert_placement has 1 layers for a model of 16"):
        jobs(expert_load=run)
