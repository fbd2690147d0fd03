"""The report's JSON form, which is a contract, and its figures on a real trace."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dpprof.analysis.figures import StepFigures
from dpprof.analysis.report.analyze import _unsteady, analyze
from dpprof.runs.manifest import Manifest, RankPlace, Steps
from dpprof.tables.kinds import STATES

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def form(make_run, event):
    """The JSON form of a run of two ranks and two steps."""
    run = make_run(
        [
            event(0, 0, 10, step=2),
            event(0, 10, 14, "combine", step=2, ready_ns=10),
            event(1, 4, 20, step=2),
            event(0, 20, 30, step=3),
            event(1, 20, 30, step=3),
        ],
        used_steps=(2, 3),
        dropped_steps=(0, 1),
        warnings=("something to know",),
    )
    return json.loads(msgspec.json.encode(analyze(run)))


def test_the_keys_that_programs_read(form) -> None:
    assert form.keys() >= {
        "schema_version",
        "source",
        "schedule",
        "steps",
        "window_ns",
        "ranks",
        "total",
        "ideal",
        "regions",
        "warnings",
    }
    times = {
        "window_ns",
        "states_ns",
        "communication_ns",
        "hidden_ns",
        "exposed_ns",
        "wait_ns",
        "hidden_share",
        "bubble_share",
        "by_kind",
        "memory",
    }
    assert form["total"].keys() >= times
    for rank in form["ranks"]:
        assert rank.keys() >= times | {"rank", "pp_rank"}
        assert tuple(rank["states_ns"]) == STATES
        assert "peak_allocated_bytes" in rank["memory"]
    kinds = form["ranks"][0]["by_kind"]
    assert kinds == {"combine": {"total_ns": 4, "hidden_ns": 0, "exposed_ns": 4, "wait_ns": 0}}


def test_sums_over_steps_and_ranks(form) -> None:
    assert form["schema_version"] == 2
    assert form["steps"] == {"used": 2, "dropped": 2, "warmup": 0}
    assert (form["window_ns"], form["step_ns"]) == (30, 15)
    for rank in form["ranks"]:
        assert sum(rank["states_ns"].values()) == rank["window_ns"] == 30
    assert form["total"]["window_ns"] == sum(form["total"]["states_ns"].values()) == 60
    assert form["total"]["bubble_share"] == 10 / 60
    assert form["warnings"][0] == "something to know"
    assert [(step["step"], step["window_ns"]) for step in form["per_step"]] == [(2, 20), (3, 10)]


def test_regions_say_where_in_the_step_they_are(form) -> None:
    assert form["regions"][0] == {
        "rank": 0,
        "step": 2,
        "start_ns": 14,
        "end_ns": 20,
        "offset_ns": 14,
        "length_ns": 6,
        "state": "bubble.cooldown",
        "phase": "cooldown",
        "cause_kind": None,
        "cause": None,
        "cause_rank": None,
        "cause_group": None,
        "slot": None,
    }


def test_an_empty_run_gives_an_empty_report(make_run) -> None:
    report = analyze(make_run([]))
    assert (report.window_ns, report.step_ns, report.ranks, report.per_step) == (0, None, [], [])
    assert report.total.bubble_share is None
    assert report.warnings == ["no activity in steps 0: they count as 0 ns"]


def test_deepseek_hides_96_per_cent_of_its_communication() -> None:
    trace = DATA / "deepseek_train.json.gz"
    if not trace.exists():
        pytest.skip(f"{trace.name} is not at hand")
    from dpprof.trace.load import load_run

    report = analyze(load_run(trace))
    (rank,) = report.ranks
    assert report.window_ns == pytest.approx(129.54e6, abs=0.05e6)
    assert rank.communication_ns == pytest.approx(113.03e6, abs=0.05e6)
    assert rank.hidden_ns == pytest.approx(108.87e6, abs=0.05e6)
    assert rank.exposed_ns == pytest.approx(4.16e6, abs=0.05e6)
    assert rank.hidden_share == pytest.approx(0.963, abs=0.005)
    assert {"dispatch", "combine"} <= rank.by_kind.keys()
    assert rank.wait_ns is None
    assert rank.states_ns["bubble.dependency"] == rank.states_ns["bubble.straggler"] == 0
    assert any("unsplit" in warning for warning in report.warnings)


def test_a_window_over_several_marked_steps_has_no_step_figures(make_run, event):
    """Tokens and the ideal are per step; the whole trace as one window holds several."""
    manifest = Manifest(
        schema_version=1,
        source="captured",
        schedule=None,
        device="cpu",
        world_size=1,
        ranks=[RankPlace(rank=0, pp_rank=0)],
        tokens_per_step=300,
        steps=Steps(measured=[1, 2]),
    )
    whole = analyze(make_run([event(0, 0, 10), event(0, 20, 30)], manifest=manifest))
    assert whole.window_ns == 30
    assert whole.tokens_per_second is None
    steps = [event(0, 0, 10, step=1), event(0, 20, 30, step=2)]
    report = analyze(make_run(steps, manifest=manifest, used_steps=(1, 2)))
    assert report.tokens_per_second == 300 / 10e-9


def test_steps_that_differ_much_are_warned_of():
    steps = [
        StepFigures(step=step, start_ns=0, window_ns=window_ns, states_ns={})
        for step, window_ns in ((1, 10), (2, 20))
    ]
    (warning,) = _unsteady(steps)
    assert "slowest: step 2" in warning
    assert _unsteady(steps[:1]) == []
