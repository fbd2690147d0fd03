"""What users write against the public names; pyright and mypy check it, nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import pandas as pd

import dpprof
from dpprof import LoadedRun
from dpprof.analysis.model import Report


def analyze(folder: Path) -> float | None:
    run = dpprof.load(folder)
    assert_type(run, LoadedRun)
    assert_type(run.report(), Report)
    events: pd.DataFrame = run.run.events
    print(len(events))
    try:
        return run.report().total.hidden_share
    except dpprof.DpprofError as error:
        assert_type(str(error), str)
        return None


def train(steps: int) -> None:
    with dpprof.label("step"):
        print(steps)
