"""The names of the figures that a rule can ask for, and their units."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from dpprof.analysis.metrics import METRICS
from dpprof.errors import DpprofError
from dpprof.statistics.figure import Unit

RANK_FIGURES: dict[str, Unit] = {
    name: metric.unit for name, metric in METRICS.items() if metric.scope == "rank"
}
"""What every rank has, and the job: the mean over its ranks, of memory the largest."""

JOB_FIGURES: dict[str, Unit] = {name: metric.unit for name, metric in METRICS.items()}
"""What the job has."""

MEMORY = tuple(name for name, metric in METRICS.items() if metric.memory)
"""Bytes of a rank; the peak is the first."""

JOB, ANY = "job", "any"
_SCOPED = re.compile(r"(?:(?P<any>any)|rank(?P<rank>[0-9]{1,6})|stage(?P<stage>[0-9]{1,6}))\.(.+)")


@dataclass(frozen=True)
class MetricName:
    """A figure of the job, of any rank, of one rank, or of any rank that holds a stage.

    `figure` is its own name, whatever `text` calls it.
    """

    text: str
    figure: str
    unit: Unit
    scope: Literal["job", "any", "rank", "stage"] = "job"
    number: int = -1


def read_name(text: str) -> MetricName:
    """``bubble_share``, ``any.bubble_share``, ``rank3.bubble_share`` or ``stage1.bubble_share``.

    The paths of ``dpprof analyze --format json`` are names too: ``states_ns.compute_only``,
    ``by_kind.dispatch.exposed_ns``, ``total.bubble_share``, ``memory.peak_allocated_bytes``.
    Raises `DpprofError` that lists the nearest names.
    """
    match = _SCOPED.fullmatch(text)
    if match is None:
        figure = _of_path(text)
        return MetricName(text, figure, _unit(figure, text, JOB_FIGURES))
    figure = _of_path(match[4])
    unit = _unit(figure, text, RANK_FIGURES)
    for scope in ("rank", "stage"):
        if match[scope] is not None:
            return MetricName(text, figure, unit, scope, int(match[scope]))
    return MetricName(text, figure, unit, "any")


def _of_path(text: str) -> str:
    """The name of what a path in the report's JSON leads to; other texts as they are."""
    plain = text.removeprefix("total.")
    plain = re.sub(r"^states_ns\.(.+)$", r"\1_ns", plain)
    plain = plain.removeprefix("by_kind.").removeprefix("memory.")
    plain = _PATHS.get(plain, plain)
    return plain if plain in JOB_FIGURES else text


_PATHS = {"ideal.window_ns": "ideal.step_ns", "steps.used": "steps"}
_MEANT = {
    "throughput": "tokens_per_second",
    "tokens_per_s": "tokens_per_second",
    "mfu": "model_flops_per_second",
    "flops": "model_flops_per_second",
    "step_time": "step_ns",
    "duration_ns": "step_ns",
    "memory": "peak_allocated_bytes",
    "idle": "bubble_ns",
}
"""What others call a figure -> its name here."""


def _unit(figure: str, text: str, known: dict[str, Unit]) -> Unit:
    if figure in known:
        return known[figure]
    if figure in JOB_FIGURES:
        raise DpprofError(f"{figure!r} is a figure of the job, not of a rank; write {figure!r}")
    prefix = text[: len(text) - len(figure)]
    meant = [_MEANT[figure]] if _MEANT.get(figure) in known else []
    near = meant or difflib.get_close_matches(figure, known, n=3, cutoff=0.5)
    hint = f"; nearest: {', '.join(prefix + name for name in near)}" if near else ""
    raise DpprofError(
        f"unknown metric {text!r}{hint}; `dpprof baseline show RUN` lists all with their values"
    )
