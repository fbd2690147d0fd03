"""What stands for a link where one rank stands for many, as far as it goes without a GPU."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.contract import ExchangePlace
from dpprof.reference.dispatchers.loopback import make_loopback
from dpprof.reference.executors.expert_parallel import make_exchanger
from dpprof.reference.executors.model import make_model_executor
from dpprof.reference.model.presets import preset, with_sizes
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.schedules.registry import make_schedule

CPU = torch.device("cpu")
PLACE = ExchangePlace(None, 8, 4, torch.float32, CPU, 8)
ALONE = Groups(ep=None, mirror=None, edges={})
LOOPED = replace(preset("tiny"), looped_ep=4, routing="balanced")


def test_rows_that_stay_are_the_same_rows():
    rows = torch.ones(4, 4)
    dispatcher = make_loopback("stay", PLACE, 0.0)
    assert dispatcher.send(rows, None) is rows
    assert dispatcher.bring_back(rows, None) is rows
    assert not dispatcher.waits_for_counts


@pytest.mark.parametrize("wire", ["paced", "engines"])
def test_a_wire_of_a_gpu_needs_one(wire):
    with pytest.raises(DpprofError, match=f"wire {wire} needs a GPU; use --set wire=stay"):
        make_exchanger(replace(LOOPED, wire=wire), Mesh(1, 1, 0), ALONE, CPU)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["looped_ep=1"], None),
        ([], "self-copy: the all-to-all is a copy inside the device, no peer, no link"),
        (["wire=stay"], "no wire: the all-to-all moves nothing, rows stay where they are"),
    ],
)
def test_a_run_says_what_stood_for_the_link(changes, words):
    config = with_sizes(LOOPED, changes)
    job = SimpleNamespace(sizes=config.to_json())
    schedule = make_schedule("dualpipev", 1, 4)
    _, _, manifest = make_model_executor(job, schedule, Mesh(1, 1, 0), ALONE, CPU)
    assert manifest.get("notes", []) == ([] if words is None else [words])


def test_the_label_has_the_wires_own_figures():
    paced = with_sizes(LOOPED, ["wire=paced", "communication_sms=8", "wire_rate=50"])
    assert paced.wire_words == "emulated wire: 8 multiprocessors, 50 GB/s, no peer"
    unbounded = replace(paced, wire_rate=0.0)
    assert unbounded.wire_words == "emulated wire: 8 multiprocessors, unpaced, no peer"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("wire=paced", "wire paced is for a rank that stands for many; give looped_ep as well"),
        ("wire=string", "wire"),
        ("sm_limits=all", "sm_limits"),
        ("wire_rate=-1", "wire_rate is -1.0; give a number from 0"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(DpprofError, match=message):
        with_sizes(preset("tiny"), [change])
