"""Ranks that share a device: the same results by way of staged messages (here without copies)."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import dpprof
from dpprof.errors import DpprofError
from dpprof.reference.job import Job, resolve_device
from dpprof.reference.runtime.host_staging import StagedLane, make_staged_lane
from dpprof.reference.runtime.lanes import InlineLane

CPU = torch.device("cpu")


def test_a_staged_lane_hands_values_and_errors_over():
    lane = StagedLane(CPU, "recv <0")
    before = lane.submit(nullcontext, lambda: 2)
    assert lane.submit(nullcontext, lambda: 3, [before]).wait() == 3
    with pytest.raises(ZeroDivisionError):
        lane.submit(nullcontext, lambda: 1 / 0).wait()
    lane.close()


def test_only_lanes_that_wait_for_other_ranks_are_staged():
    assert isinstance(make_staged_lane(CPU, "compute"), InlineLane)
    side, edge = make_staged_lane(CPU, "communication"), make_staged_lane(CPU, "send >1")
    assert not isinstance(side, StagedLane)
    assert isinstance(edge, StagedLane)
    side.close()
    edge.close()


def test_one_gpu_is_enough_where_it_is_shared(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda", 4, share_gpus=True) == "cuda"
    assert resolve_device("auto", 4) == "cpu"
    with pytest.raises(DpprofError, match=r"need as many GPUs, it has 1; use fewer ranks, .*share"):
        resolve_device("cuda", 4)


def test_a_shared_step_equals_the_unpipelined_model(tmp_path, exact_config):
    """Two processes of the whole command, messages staged."""
    import dataclasses
    import json

    from dpprof.reference.launch.local_ranks import launch
    from dpprof.reference.model.unpipelined import unpipelined_step
    from dpprof.schedules.form import schedule_to_json
    from dpprof.schedules.registry import make_schedule

    config = dataclasses.replace(exact_config, layers=4)
    job = Job(
        schedule=schedule_to_json(make_schedule("dualpipe", 2, 8)),
        pp=2,
        ep=1,
        device="cpu",
        folder=str(tmp_path / "run"),
        layers=2,
        steps=1,
        warmup=1,
        sizes=config.to_json(),
        share_gpus=True,
    )
    launch(job)
    manifest = json.loads((Path(job.folder) / "run.json").read_text())
    expected = [unpipelined_step(config, 8, step=step).loss for step in range(2)]
    assert manifest["losses"] == pytest.approx(expected, rel=1e-12)
    note = "pipeline ranks share a GPU: their kernels take turns, messages go through the host"
    assert manifest["notes"] == [note]
    assert dpprof.load(job.folder).report().warnings[0] == note
    assert len(manifest["expert_load"]) == 4
