"""Communication hidden and exposed: by rank and kind, and by operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from dpprof.analysis.model import Report
from dpprof.dashboards.data.claimed import unclaimed_kinds
from dpprof.dashboards.data.exposure_tables import LABEL
from dpprof.dashboards.figures.png import hexadecimal, mix
from dpprof.dashboards.figures.side_by_side import abreast, rank_bars_axis
from dpprof.dashboards.figures.states import pattern
from dpprof.dashboards.view.theme import Theme
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.columns import COUNT, EXPOSED, HIDDEN, KIND, TOTAL
from dpprof.tables.devices import rank_label
from dpprof.tables.kinds import COMMUNICATION_KINDS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_PARTS = (
    (1, "hidden", "", 0.55),
    (1, "exposed", "/", 1.0),
    (1, "total", "x", 0.3),
    (2, "wait", ".", 0.8),
)
"""Panel, part of a kind's time, its pattern and share of its colour: what is exposed stands out."""

_UNCLAIMED = "transfer, hidden n/a"
_WORDS = {"hidden": "hidden", "exposed": "exposed", "total": _UNCLAIMED, "wait": "waiting"}

MOST_OPERATIONS = 14
OTHERS = "all others"
_BAR_HEIGHT = 22
_FRAME = 120


@dataclass(frozen=True)
class RunReport:
    """A run as figures show it: its id and its report."""

    id: str
    report: Report


def rank_bars(runs: Sequence[RunReport], theme: Theme, unit: TimeUnit, kind: str = "") -> Figure:
    """Hidden and exposed transfers of every rank by kind, and beneath what waited; runs abreast.

    One trace per run, kind and part: x the ranks, y the time per step in `unit`. With `kind`
    only that one. What no run has, or what is not known of any, has no trace.
    """
    drawn = [
        (row, part, shape, share, name)
        for row, part, shape, share in _PARTS
        for name in _kinds(runs, kind)
        if any(_total(run.report, name, part) for run in runs)
    ]
    rows = max((row for row, *_ in drawn), default=1)
    panels = {"rows": rows, "row_heights": [0.62, 0.38][:rows], "vertical_spacing": 0.08}
    names = [run.id for run in runs]
    figure = abreast(names, theme, shared_xaxes=True, shared_yaxes=True, **panels)
    for column, run in enumerate(runs, 1):
        for row, part, shape, share, name in drawn:
            # Not by opacity, which the legend leaves out.
            color = hexadecimal(mix(theme.color(name), theme.panel, share))
            figure.add_bar(
                **_rank_bars(run.report, name, part, unit),
                name=f"{name} {_WORDS[part]}",
                legendgroup=f"{name} {part}",
                showlegend=column == 1,
                marker={"color": color, "pattern": pattern(shape, theme)},
                row=row,
                col=column,
            )
    figure.update_layout(barmode="stack", height=140 + 145 * rows)
    rank_bars_axis(figure, most_ranks(runs))
    if rows > 1:
        figure.update_xaxes(title_text="", row=1)
    for row, word in ((1, "transfers"), (2, "waiting"))[:rows]:
        figure.update_yaxes(title_text=f"{word}, {unit.name}", row=row, col=1)
    return figure


def most_ranks(runs: Sequence[RunReport]) -> int:
    """How many ranks the largest of the runs has."""
    return max((len(run.report.ranks) for run in runs), default=0)


def _total(report: Report, kind: str, part: str) -> int | None:
    figures = report.total.by_kind.get(kind)
    if figures is None or not _drawn(report, kind, part):
        return None
    time: int | None = getattr(figures, f"{part}_ns")
    return time


def _drawn(report: Report, kind: str, part: str) -> bool:
    """Whether a part is claimed; of a kind whose hidden share is n/a the whole transfer is."""
    return part == "wait" or (part == "total") == (kind in unclaimed_kinds(report))


def _kinds(runs: Sequence[RunReport], kind: str) -> list[str]:
    present = {name for run in runs for name in run.report.total.by_kind}
    return [name for name in COMMUNICATION_KINDS if name in present and kind in ("", name)]


def _rank_bars(report: Report, kind: str, part: str, unit: TimeUnit) -> dict[str, object]:
    steps, drawn = max(len(report.per_step), 1), _drawn(report, kind, part)
    times = [
        getattr(rank.by_kind[kind], f"{part}_ns") if kind in rank.by_kind and drawn else None
        for rank in report.ranks
    ]
    return {
        "x": [rank_label(rank.rank) for rank in report.ranks],
        "y": [None if time is None else time / steps / unit.nanoseconds for time in times],
        "hovertemplate": f"rank %{{x}}<br>{kind} {_WORDS[part]}: %{{y:.3f}} {unit.name} per step"
        "<extra></extra>",
    }


@dataclass(frozen=True)
class RunOperations:
    """Operations of a run, and its ranks times its steps.

    Of the kinds in `unclaimed` the hidden share is n/a.
    Source: `dpprof.dashboards.data.exposure_tables.by_operation`.
    """

    id: str
    table: pd.DataFrame
    spans: int
    unclaimed: frozenset[str] = frozenset()


def operation_bars(runs: Sequence[RunOperations], theme: Theme, unit: TimeUnit) -> Figure:
    """The operations that are exposed longest in the first run, the worst on top; runs abreast.

    One trace per run and part: x the time per step, mean of the ranks, in `unit`; y the labels.
    """
    figure = abreast([run.id for run in runs], theme, shared_yaxes=True, shared_xaxes="all")
    labels = _shown_labels(runs)
    for column, run in enumerate(runs, 1):
        rows = _with_others(_claims(run), labels)
        for name, color, shape in (
            (EXPOSED, theme.muted, "/"),
            (HIDDEN, theme.color("overlap"), ""),
            (TOTAL, theme.quiet, "x"),
        ):
            part = _UNCLAIMED if name == TOTAL else name.removesuffix("_ns")
            if name == TOTAL and not any(one.unclaimed for one in runs):
                continue
            figure.add_bar(
                x=(rows[name] / max(run.spans, 1) / unit.nanoseconds).tolist(),
                y=labels,
                customdata=rows[COUNT].tolist(),
                orientation="h",
                name=part,
                legendgroup=part,
                showlegend=column == 1,
                marker={"color": color, "pattern": pattern(shape, theme)},
                hovertemplate=f"%{{y}}<br>{part}: %{{x:.3f}} {unit.name} per step, mean of the "
                "ranks<br>%{customdata} operations<extra></extra>",
                row=1,
                col=column,
            )
    height = _FRAME + _BAR_HEIGHT * max(len(labels), 1)
    figure.update_layout(barmode="stack", height=height)
    figure.update_xaxes(title_text=f"{unit.name} per step")
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=labels[::-1])
    return figure


def _shown_labels(runs: Sequence[RunOperations]) -> list[str]:
    labels = list(dict.fromkeys(label for run in runs for label in run.table[LABEL]))
    return labels if len(labels) <= MOST_OPERATIONS else [*labels[: MOST_OPERATIONS - 1], OTHERS]


def _with_others(table: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """A row for each label, zeros where the run has no such operation; the others added up."""
    known = table[LABEL].isin(labels)
    names = table[LABEL].where(known, OTHERS)
    sums = table.groupby(names, sort=False)[[COUNT, TOTAL, HIDDEN, EXPOSED]].sum()
    return sums.reindex(labels, fill_value=0)


def _claims(run: RunOperations) -> pd.DataFrame:
    """The table with either hidden and exposed time or, where these are n/a, the whole."""
    unknown = run.table[KIND].isin(run.unclaimed).to_numpy()
    times = {
        TOTAL: run.table[TOTAL].where(unknown, 0),
        HIDDEN: run.table[HIDDEN].mask(unknown, 0),
        EXPOSED: run.table[EXPOSED].mask(unknown, 0),
    }
    return run.table.assign(**times)
