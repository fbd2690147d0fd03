"""`dpprof profile`: bad input is answered before anything starts; runs are whole or not there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="profiling needs torch")

from dpprof import cli
from dpprof.reference.launch.world import JobWorld
from dpprof.trace.load import load_run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--schedule", "dualpipe", "--pp", "3"], "even"),
        (["--schedule", "dualpipe", "--pp", "4", "--micro-batches", "6"], "micro-batches"),
        (["--schedule", "zigzag"], "no schedule 'zigzag'"),
        (["--schedule", "1f1b,1f1b"], "every schedule once"),
        (["--device", "cpu", "--ep", "3"], "experts do not divide"),
        (["--device", "cpu", "--layers", "5"], "layers do not divide"),
        (["--device", "emulated", "--layers", "5"], "layers do not divide"),
        (["--device", "cuda", "--pp", "64", "--micro-batches", "128"], "--device cuda"),
        (["--device", "emulated", "--costs", "nowhere"], "no cost profile"),
        (["--model", "huge", "--device", "cpu"], "no model preset"),
    ],
)
def test_bad_input_names_the_rule(arguments, words, tmp_path, capsys):
    assert cli.run(["profile", "-o", str(tmp_path / "out"), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_torchrun_with_another_world_size_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert cli.run(["profile", "--pp", "2", "-o", str(tmp_path / "out")]) == 2
    assert "torchrun started 3" in capsys.readouterr().err


def test_an_output_that_exists_is_kept(tmp_path, capsys):
    (tmp_path / "1f1b").mkdir()
    (tmp_path / "1f1b" / "precious").write_text("mine")
    arguments = ["--schedule", "1f1b", "--pp", "1", "--device", "emulated", "--costs", "unit"]
    assert cli.run(["profile", "-o", str(tmp_path), *arguments]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "1f1b" / "precious").read_text() == "mine"


ON_CPUS = ("1f1b", "zb1p", "interleaved-1f1b", "combined-1f1b", "dualpipe", "zbv", "hanayo")


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_every_schedule_runs(device, tmp_path, capsys):
    """On CPUs one of each kind, on the emulated device all."""
    from dpprof.schedules.registry import schedule_names

    names = list(ON_CPUS) if device == "cpu" else schedule_names()
    arguments = ["--pp", "2", "--micro-batches", "4", "--num-steps", "1", "--warmup", "1"]
    arguments += ["--device", device, "--layers", "8"]
    if device == "emulated":
        arguments += ["--costs", "unit-components"]
    out = tmp_path / "out"
    assert cli.run(["profile", "-o", str(out), "--schedule", ",".join(names), *arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    losses = set()
    for name in names:
        manifest = json.loads((out / name / "run.json").read_text())
        assert manifest["source"] == ("emulated" if device == "emulated" else "captured")
        assert manifest["schedule"]["schedule"] == name
        losses.add(tuple(round(loss, 4) for loss in manifest["losses"]))
        run = load_run(out / name)
        assert sorted(run.events["rank"].unique()) == [0, 1]
        assert run.schedule is not None
        slots = {
            rank: rows["slot"].tolist()
            for rank, rows in run.slots.sort_values("start_ns").groupby("rank")
        }
        assert slots == dict(enumerate(manifest["schedule"]["ranks"]))
    # What is trained does not depend on the schedule.
    assert len(losses) == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)


def test_every_rank_says_whose_trace_could_not_be_written(tmp_path, capsys, monkeypatch):
    @contextmanager
    def of_two_hosts(*_):
        def run(job):
            Path(job.folder, "rank0.json").write_text("{}")

        yield JobWorld(run, lambda: None, lambda lost: [] if lost else ["rank 1 on b"])

    monkeypatch.setattr("dpprof.commands.profile._world", of_two_hosts)
    monkeypatch.setenv("RANK", "0")
    chosen = ["--schedule", "1f1b", "--pp", "2", "--micro-batches", "4", "--device", "emulated"]
    assert cli.run(["profile", *chosen, "-o", str(tmp_path / "out")]) == 2
    assert "no trace of rank 1 on b" in capsys.readouterr().err
    assert (tmp_path / "out" / "1f1b" / "rank0.json").exists()
