"""The content of a comparison: a column per run, ratios to the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.analysis.report.side_by_side import ComparedMetric, Comparison
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import TimeUnit, figure_text, time_unit

_TITLES = {
    "step": "Step",
    "bubble": "Bubble (mean of the ranks)",
    "communication": "Communication (mean of the ranks)",
    "memory": "Memory peak (by stage: of the ranks that hold it)",
}

_TRIVIAL_SHARE = 0.005
"""Of the baseline's step: ratios to less than this say nothing."""


def comparison_sections(comparison: Comparison) -> Iterator[Section]:
    """A table per subject; each value with its ratio to the baseline."""
    steps = [report.step_ns for report in comparison.reports if report.step_ns]
    unit = time_unit(min(steps, default=None))
    names = run_names(comparison)
    for subject, title in _TITLES.items():
        metrics = [metric for metric in comparison.metrics if metric.section == subject]
        if metrics:
            trivial = _TRIVIAL_SHARE * (comparison.reports[comparison.baseline].step_ns or 0)
            rows = tuple(_row(metric, comparison.baseline, unit, trivial) for metric in metrics)
            yield Section(title, ("", *names), rows)


def run_names(comparison: Comparison) -> list[str]:
    """Short column heads, told apart where names are the same."""
    names = [report.name for report in comparison.reports]
    return [
        f"{name} #{position + 1}" if names.count(name) > 1 else name
        for position, name in enumerate(names)
    ]


def _row(
    metric: ComparedMetric, baseline: int, unit: TimeUnit, trivial_ns: float
) -> tuple[Cell, ...]:
    """A line; times that are next to nothing in the baseline get no ratio."""
    ratios = metric.ratios(baseline)
    base = metric.values[baseline]
    if metric.unit == "ns" and base is not None and base < trivial_ns:
        ratios = (None,) * len(ratios)
    cells = [
        Cell(
            figure_text(value, metric.unit, unit),
            "" if ratio is None or position == baseline else f"x{ratio:.2f}",
        )
        for position, (value, ratio) in enumerate(zip(metric.values, ratios, strict=True))
    ]
    return (Cell(metric.name), *cells)
