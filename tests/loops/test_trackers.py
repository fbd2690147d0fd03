"""Figures of a window reach the trackers that the job has open, and nothing else."""

from __future__ import annotations

import sys
import weakref
from types import ModuleType, SimpleNamespace

import pytest

from dpprof.launcher import trackers as module
from dpprof.launcher.trackers import Trackers, leave_figures, open_runs

FIGURES = {"step_ms": 20.0, "exposed_ms/p2p": 1.5}
NAMED = {"dpprof/step_ms": 20.0, "dpprof/exposed_ms/p2p": 1.5}


@pytest.fixture(autouse=True)
def _no_writers(monkeypatch):
    monkeypatch.setattr(module, "_writers", weakref.WeakSet())


@pytest.fixture
def logged(monkeypatch):
    """What stand-ins of all three trackers are told; the job has a run open in each."""
    seen = {"wandb": [], "mlflow": [], "tensorboard": []}
    run = SimpleNamespace(log=lambda scalars, commit: seen["wandb"].append((scalars, commit)))
    mlflow = SimpleNamespace(
        active_run=lambda: "run",
        log_metrics=lambda scalars, step: seen["mlflow"].append((scalars, step)),
    )

    class SummaryWriter:
        def add_scalar(self, *scalar):
            seen["tensorboard"].append(scalar)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    writers = ModuleType("writers")
    writers.SummaryWriter = SummaryWriter
    module._remember_writers(writers)
    seen["writer"] = SummaryWriter()
    return seen


def test_every_open_run_is_told_once_when_the_figures_come(logged, tmp_path):
    trackers = Trackers(tmp_path)
    assert trackers.expect(tmp_path / "step8", step=10)
    trackers.look(now=True)
    assert not logged["mlflow"]
    leave_figures(tmp_path, tmp_path / "step8", FIGURES)
    for _ in range(2):
        trackers.look(now=True)
    assert logged["wandb"] == [(NAMED, False)]  # the job's own steps do not move
    assert logged["mlflow"] == [(NAMED, 10)]
    assert logged["tensorboard"] == [(name, value, 10) for name, value in NAMED.items()]


def test_where_no_run_is_open_nothing_is_wanted(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    assert open_runs() == []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(active_run=lambda: None))
    assert not Trackers(tmp_path).expect(tmp_path / "step8", step=10)


def test_figures_reach_a_real_writer_of_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is no dependency of dpprof's")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import writer

    inner = writer.SummaryWriter.__init__
    try:
        module._remember_writers(writer)
        own = writer.SummaryWriter(str(tmp_path / "board"))
    finally:
        writer.SummaryWriter.__init__ = inner
    for log in open_runs():
        log(NAMED, 10)
    own.close()
    assert open_runs() == []  # it is closed, and stays so
    read = EventAccumulator(str(tmp_path / "board"))
    read.Reload()
    assert {tag: read.Scalars(tag)[0].value for tag in read.Tags()["scalars"]} == NAMED
