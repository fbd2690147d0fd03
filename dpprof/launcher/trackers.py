"""A window's figures as scalars where the job keeps its own: W&B, TensorBoard, MLflow.

The launcher reads a window once all ranks have written it, and leaves its figures in a file; the
process that has a run open finds them at a later step. Nothing is imported that the job has not
imported, no run is begun, and the job's own steps stay as they are.
"""

from __future__ import annotations

import math
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from dpprof.instrument.adapters.imports import watch

_FIGURES = "figures-{}.json"
_LOOK_EVERY_S = 0.5
_WRITERS = ("torch.utils.tensorboard.writer", "tensorboardX.writer")

Log = Callable[[Mapping[str, float], int], None]

_writers: weakref.WeakSet[Any] = weakref.WeakSet()


def leave_figures(control: Path, folder: Path, figures: Mapping[str, float]) -> None:
    """Leave the figures of the window in `folder` where the ranks look for them."""
    file = control / _FIGURES.format(folder.name)
    partial = file.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(dict(figures)))
    partial.replace(file)


def watch_for_writers() -> None:
    """Remember TensorBoard's writers as they are made: nothing else knows of them."""
    for name in _WRITERS:
        watch.wait_for(name, _remember_writers)


def _remember_writers(module: ModuleType) -> None:
    kind = module.SummaryWriter
    inner = kind.__init__

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        inner(self, *arguments, **named)
        _writers.add(self)

    kind.__init__ = __init__


def open_runs() -> list[Log]:
    """What logs scalars at a step, for each run that the job has open now."""
    wandb, mlflow = sys.modules.get("wandb"), sys.modules.get("mlflow")
    found: list[Log] = []
    if getattr(wandb, "run", None) is not None:
        found.append(partial(_to_wandb, wandb))
    if mlflow is not None and mlflow.active_run() is not None:
        found.append(partial(_to_mlflow, mlflow))
    writers = [one for one in _writers if getattr(one, "file_writer", one) is not None]
    return found + [partial(_to_tensorboard, one) for one in writers]


def _to_wandb(wandb: Any, scalars: Mapping[str, float], _: int) -> None:
    wandb.run.log(dict(scalars), commit=False)  # with what the job logs next: its steps stay


def _to_mlflow(mlflow: Any, scalars: Mapping[str, float], step: int) -> None:
    mlflow.log_metrics(dict(scalars), step=step)


def _to_tensorboard(writer: Any, scalars: Mapping[str, float], step: int) -> None:
    for name, value in scalars.items():
        writer.add_scalar(name, value, step)


class Trackers:
    """Windows of this process whose figures are still to come; has state as they come later."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._due: dict[Path, int] = {}
        self._looked = -math.inf

    def expect(self, folder: Path, step: int) -> bool:
        """A window that ended with `step` is written; whether its figures are wanted here."""
        wanted = bool(open_runs())
        if wanted:
            self._due[self._control / _FIGURES.format(folder.name)] = step
        return wanted

    def look(self, *, now: bool = False) -> None:
        """Log what has come since, at most every half second."""
        if not self._due or not (now or time.monotonic() - self._looked > _LOOK_EVERY_S):
            return
        self._looked = time.monotonic()
        for file in [file for file in self._due if file.exists()]:
            step = self._due.pop(file)
            scalars = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
            for log in open_runs():
                log({f"dpprof/{name}": value for name, value in scalars.items()}, step)
