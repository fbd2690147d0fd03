"""Figures of the page of steps: how much they vary from step to step and from rank to rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dpprof.analysis.model import Report
from dpprof.dashboards.figures.scales import text_scale
from dpprof.dashboards.figures.states import state_marker
from dpprof.dashboards.figures.step_matrix import MOST_STEPS, StepMatrix
from dpprof.dashboards.view.theme import Theme, template
from dpprof.dashboards.view.words import state_word
from dpprof.reporters.blocks.units import byte_unit, time_unit
from dpprof.tables.devices import rank_label
from dpprof.tables.kinds import STATES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_TEXTS = 400
"""Cells of a heat map that have their number written in them."""

_MOST_TICKS = 32
_BESIDE = 0.12
"""How far apart the marks of several runs stand, in ranks."""

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


def step_times(runs: Sequence[tuple[str, Report]], theme: Theme) -> Figure:
    """Bars, one for each step of each run (id, report), of the states that make up its window.

    Each state is the mean of the ranks, so that a bar is as high as the step is long.
    """
    import plotly.graph_objects as go

    unit = time_unit(max((report.step_ns or 0 for _, report in runs), default=0))
    bars = [(id, report, step) for id, report in runs for step in report.per_step[:MOST_STEPS]]
    places = [[id for id, _, _ in bars], [f"step {step.step}" for *_, step in bars]]
    figure = go.Figure()
    for state in STATES:
        if not any(step.states_ns[state] for *_, step in bars):
            continue
        means = [
            step.states_ns[state] / max(1, len(report.ranks)) / unit.nanoseconds
            for _, report, step in bars
        ]
        figure.add_bar(
            x=places,
            y=means,
            name=state_word(state),
            marker=state_marker(state, theme),
            hovertemplate=f"{state_word(state)}: %{{y:,.2f}} {unit.name}<extra>%{{x}}</extra>",
        )
    totals = [step.window_ns / unit.nanoseconds for *_, step in bars]
    figure.add_scatter(
        x=places,
        y=totals,
        mode="text",
        text=[f"{total:,.2f}" for total in totals] if len(bars) <= 24 else None,
        textposition="top center",
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(
        template=template(theme),
        barmode="stack",
        height=400,
        legend={"traceorder": "normal"},
        yaxis={"title": {"text": f"{unit.name} per step, mean of the ranks"}},
        xaxis={"title": {"text": None}},
    )
    return figure


def rank_steps(matrix: StepMatrix, theme: Theme, beside: Sequence[StepMatrix] = ()) -> Figure:
    """A heat map of a metric: ranks downwards, steps to the right, numbers where there is room.

    Unit and colours are the same for those `beside` it.
    """
    import plotly.graph_objects as go

    scale, name = _unit(matrix, *beside)
    known = [np.nanmin(one.values) for one in (matrix, *beside) if one.known]
    known += [np.nanmax(one.values) for one in (matrix, *beside) if one.known]
    values = matrix.values / scale
    with_text = values.size <= _MOST_TEXTS
    figure = go.Figure(
        go.Heatmap(
            x=[str(step) for step in matrix.steps],
            y=[rank_label(rank) for rank in matrix.ranks],
            z=_without_nan(values),
            zmin=min(known) / scale if len(set(known)) > 1 else None,
            zmax=max(known) / scale if len(set(known)) > 1 else None,
            colorscale=text_scale(theme),
            colorbar={"title": {"text": name}, "thickness": 12, "outlinewidth": 0},
            texttemplate="%{z:,.2f}" if with_text else None,
            textfont={"color": theme.text},
            xgap=1,
            ygap=1,
            hovertemplate=f"rank %{{y}}, step %{{x}}: %{{z:,.3f}} {name}<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(theme),
        height=min(900, 80 + 26 * max(3, len(matrix.ranks))),
        margin={"t": 8},
        xaxis={"title": {"text": "step"}, "type": "category"},
        yaxis={"title": {"text": "rank"}, "type": "category", "autorange": "reversed"},
    )
    return figure


def rank_spread(matrices: Sequence[tuple[str, StepMatrix]], theme: Theme) -> Figure:
    """By rank, the mean of a metric over the steps and, as error bars, its smallest and largest."""
    import plotly.graph_objects as go

    scale, name = _unit(*(matrix for _, matrix in matrices))
    figure = go.Figure()
    every = sorted({rank for _, matrix in matrices for rank in matrix.ranks})
    place = {rank: number for number, rank in enumerate(every)}
    for number, (id, matrix) in enumerate(matrices):
        known = np.flatnonzero(np.isfinite(matrix.values).any(axis=1))
        values = matrix.values[known] / scale
        mean = np.nanmean(values, axis=1) if len(values) else np.zeros(0)
        above = np.nanmax(values, axis=1) - mean if len(values) else mean
        below = mean - np.nanmin(values, axis=1) if len(values) else mean
        ranks = [matrix.ranks[row] for row in known.tolist()]
        aside = _BESIDE * (number - (len(matrices) - 1) / 2)
        figure.add_scatter(
            x=[place[rank] + aside for rank in ranks],
            customdata=ranks,
            y=mean.tolist(),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": above.tolist(),
                "arrayminus": below.tolist(),
            },
            mode="markers",
            name=id,
            marker={
                "color": theme.run_color(number),
                "symbol": _SYMBOLS[number % len(_SYMBOLS)],
                "size": 9,
            },
            hovertemplate=f"rank %{{customdata}}: mean %{{y:,.3f}} {name}<extra>{id}</extra>",
        )
    apart = max(1, -(-len(every) // _MOST_TICKS))
    figure.update_layout(
        template=template(theme),
        height=320,
        showlegend=len(matrices) > 1,
        xaxis={
            "title": {"text": "rank"},
            "range": [-0.6, len(every) - 0.4],
            "tickvals": list(range(0, len(every), apart)),
            "ticktext": [rank_label(rank) for rank in every[::apart]],
            "zeroline": False,
        },
        yaxis={"title": {"text": f"{name} per step"}},
    )
    return figure


def _unit(*matrices: StepMatrix) -> tuple[int, str]:
    """How many nanoseconds or bytes one unit of the metric is, and what it is called."""
    largest = max((np.nanmax(one.values) for one in matrices if one.known), default=0)
    if matrices and matrices[0].metric.unit == "bytes":
        size = byte_unit(largest)
        return size.bytes, size.name
    unit = time_unit(largest)
    return unit.nanoseconds, unit.name


def _without_nan(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(one) else one for one in row] for row in values.tolist()]
