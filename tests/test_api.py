"""The Python interface: tables and figures as the command line gives them, shown by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest

import dpprof
from dpprof.cli import run as command
from dpprof.tables.kinds import BUBBLE_STATES, STATES

RUN = Path(__file__).resolve().parents[1] / "traces" / "dualpipe"


@pytest.fixture(scope="module")
def loaded() -> dpprof.LoadedRun:
    return dpprof.load(RUN)


def test_figures_are_those_of_analyze(loaded, capsys):
    assert command(["analyze", str(RUN), "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(msgspec.json.encode(loaded.report())) == printed
    accounting = loaded.accounting
    assert accounting.index.tolist() == [rank["rank"] for rank in printed["ranks"]]
    for rank in printed["ranks"]:
        row = accounting.loc[rank["rank"]]
        assert {state: row[state] for state in STATES} == rank["states_ns"]
        for name in ("window_ns", "bubble_ns", "hidden_ns", "exposed_ns", "wait_ns", "pp_rank"):
            assert row[name] == rank[name]
    by_step = loaded.accounting_by_step.groupby("rank")[list(STATES)].sum()
    assert by_step.to_dict() == accounting[list(STATES)].to_dict()


def test_regions_add_up_to_the_bubbles(loaded):
    lengths = (loaded.regions["end_ns"] - loaded.regions["start_ns"]).groupby(
        [loaded.regions["rank"], loaded.regions["state"]], observed=True
    )
    for (rank, state), total in lengths.sum().items():
        assert total == loaded.accounting.loc[rank, state]
    assert set(loaded.regions["state"]) <= set(BUBBLE_STATES)


def test_tables_and_words(loaded):
    assert (loaded.name, loaded.source, loaded.ranks) == ("dualpipe", "emulated", (0, 1, 2, 3))
    assert loaded.schedule is not None
    assert set(loaded.events["rank"]) == {0, 1, 2, 3}
    assert len(loaded.slots)
    assert len(loaded.memory)
    assert loaded.used_steps == tuple(sorted(set(loaded.slots["step"])))
    assert set(loaded.steps["step"]) >= set(loaded.used_steps)
    assert repr(loaded) == "<dpprof run 'dualpipe': emulated, dualpipe, 4 ranks, 2 steps>"
    assert "EMULATED" in str(loaded)


def test_a_notebook_shows_the_report_and_names_cannot_break_it(loaded):
    shown = loaded._repr_html_()
    assert shown.count("<table>") == shown.count("</table>") >= 3
    assert "EMULATED" in shown
    odd = dpprof.LoadedRun(replace(loaded.run, name="<script>alert(1)</script>"))
    assert "<script>" not in odd._repr_html_()


def test_what_is_not_known_is_na(tmp_path):
    trace = {
        "traceEvents": [
            {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": ts, "dur": 5}
            | {"args": {"stream": 7, "device": 0, "correlation": 0}}
            for name, ts in (("gemm", 1), ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", 10))
        ],
        "distributedInfo": {"rank": 3, "world_size": 8},
    }
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(trace))
    row = dpprof.load(file).accounting.loc[3]
    assert row["wait_ns"] is pd.NA
    assert (row["compute_only"], row["exposed.all_reduce"], row["window_ns"]) == (5000, 5000, 14000)


def test_simulate_with_measured_costs(loaded):
    same, other = loaded.simulate(), loaded.simulate("1f1b")
    assert (same.source, same.schedule) == ("simulated", loaded.schedule)
    assert other.schedule.name == "1f1b"
    assert other.report().window_ns > same.report().window_ns
    halves = loaded.simulate("dualpipev")  # twice as many stages, each of half the layers
    assert _computed(halves) == pytest.approx(_computed(same), rel=1e-3)
    assert _computed(loaded.simulate("dualpipev", layers=2)) == pytest.approx(
        2 * _computed(same), rel=1e-3
    )
    with pytest.raises(dpprof.DpprofError, match="fastpipe"):
        loaded.simulate("fastpipe")


def _computed(run):
    events = run.events
    rows = events[events["kind"] == "compute"]
    return (rows["end_ns"] - rows["start_ns"]).sum()


def test_export(loaded, tmp_path):
    place = loaded.export(tmp_path / "events.parquet", "parquet")
    assert len(pd.read_parquet(place)) == len(loaded.events)
    with pytest.raises(dpprof.DpprofError, match="exists already"):
        loaded.export(place, "parquet")
    with pytest.raises(dpprof.DpprofError, match="perfetto, parquet, csv"):
        loaded.export(tmp_path / "x", "xlsx")


def test_the_critical_path_covers_the_steps(loaded):
    path = loaded.critical_path
    assert path is loaded.critical_path
    lengths = (path["end_ns"] - path["start_ns"]).groupby(path["step"]).sum().to_dict()
    assert lengths == {one.step: one.window_ns for one in loaded.report().per_step}


def run_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_analysing_import_no_more_than_they_need():
    run_python(
        "import sys, dpprof\n"
        "assert not {'pandas', 'numpy', 'pyarrow'} & sys.modules.keys()\n"
        f"run = dpprof.load({str(RUN)!r})\n"
        "run.report(); run._repr_html_(); str(run)\n"
        "heavy = {'hta', 'torch', 'plotly', 'dash', 'dask'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )


def test_hta_is_asked_for_only_when_wanted_and_missed_in_words():
    said = run_python(
        "import sys, dpprof\n"
        "sys.modules['hta'] = None\n"
        f"run = dpprof.load({str(RUN)!r})\n"
        "try:\n"
        "    dpprof.hta.trace_analysis(run)\n"
        "except dpprof.DpprofError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'dpprof[hta]'" in said
