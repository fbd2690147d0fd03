"""What varies from step to step and from rank to rank, as a matrix of ranks and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from dpprof.analysis.figures import StepRank
from dpprof.analysis.metrics import PEAK
from dpprof.analysis.model import Report
from dpprof.evidence.figures import touching
from dpprof.tables.kinds import COMPUTE_ONLY, OVERLAP

MOST_RANKS = 128
MOST_STEPS = 200


@dataclass(frozen=True)
class MatrixMetric:
    """A figure of every rank in every step; `of` gives None where it is not known.

    `figure` is what evidence and gates call it.
    """

    label: str
    about: str
    of: Callable[[StepRank], int | None]
    figure: str
    unit: Literal["time", "bytes"] = "time"


METRICS: Mapping[str, MatrixMetric] = MappingProxyType(
    {
        "compute": MatrixMetric(
            "compute",
            "Time in which the rank computes, with a transfer under way or not.",
            lambda one: one.states_ns[COMPUTE_ONLY] + one.states_ns[OVERLAP],
            "compute_ns",
        ),
        "bubble": MatrixMetric(
            "bubble",
            "Time in which the rank idles, whatever the cause.",
            lambda one: one.bubble_ns,
            "bubble_ns",
        ),
        "exposed": MatrixMetric(
            "exposed communication",
            "Time with a transfer under way and no compute.",
            lambda one: one.exposed_ns,
            "exposed_ns",
        ),
        "hidden": MatrixMetric(
            "hidden communication",
            "Time with a transfer under way while the rank computes.",
            lambda one: one.hidden_ns,
            "hidden_ns",
        ),
        "wait": MatrixMetric(
            "waiting",
            "Time in which at least one operation of the rank waits for its peers.",
            lambda one: one.wait_ns,
            "wait_ns",
        ),
        "memory": MatrixMetric(
            "memory peak",
            "The most bytes that were allocated in the step.",
            lambda one: one.peak_allocated_bytes,
            PEAK,
            "bytes",
        ),
    }
)


@dataclass(frozen=True)
class StepMatrix:
    """A metric by rank (rows) and step (columns); NaN where it is not known.

    `values` are nanoseconds or bytes. `left_out` counts ranks and steps that are not shown.
    """

    metric: MatrixMetric
    ranks: tuple[int, ...]
    steps: tuple[int, ...]
    values: npt.NDArray[np.float64]
    left_out: tuple[int, int] = (0, 0)

    @property
    def known(self) -> bool:
        """Whether there is a value at all."""
        return bool(np.isfinite(self.values).any())


def step_matrix(report: Report, metric: MatrixMetric, wanted: Sequence[int] = ()) -> StepMatrix:
    """The metric of the report's ranks in its used steps.

    Of more ranks than `MOST_RANKS` those that differ most from the median rank are kept, unless
    `wanted` names ranks; of more steps than `MOST_STEPS` the first ones.
    """
    chosen = set(wanted)
    ranks = [one.rank for one in report.ranks if not chosen or one.rank in chosen]
    missing = {rank for rank in ranks if _is_lacking(report, metric, rank)}
    steps = report.per_step[:MOST_STEPS]
    row = {rank: number for number, rank in enumerate(ranks)}
    values = np.full((len(ranks), len(steps)), np.nan)
    for column, step in enumerate(steps):
        for one in step.ranks:
            value = metric.of(one)
            if one.rank in row and value is not None and one.rank not in missing:
                values[row[one.rank], column] = value
    kept = _most_different(values)
    left_out = len(ranks) - len(kept), len(report.per_step) - len(steps)
    shown = tuple(ranks[number] for number in kept)
    return StepMatrix(metric, shown, tuple(one.step for one in steps), values[kept], left_out)


def _is_lacking(report: Report, metric: MatrixMetric, rank: int) -> bool:
    """Whether the evidence for the figure of a rank is missing; waiting may be known in part."""
    in_part = metric.figure == "wait_ns" and report.total.unsplit_ns > 0
    return bool(touching(report.evidence, metric.figure, rank)) and not in_part


def _most_different(values: npt.NDArray[np.float64]) -> list[int]:
    """Rows to show, in order: those farthest from the median of all values, where too many."""
    if len(values) <= MOST_RANKS:
        return list(range(len(values)))
    filled = np.nan_to_num(values, nan=float(np.nanmedian(values)))
    distance = np.abs(filled - np.median(filled)).max(axis=1)
    return sorted(np.argsort(-distance, kind="stable")[:MOST_RANKS].tolist())
