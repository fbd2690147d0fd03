"""How the hiding of communication is distributed over layers and micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.data.exposure_tables import LABEL, Grid
from dpprof.dashboards.figures.scales import color_scale, gap_px, rows_px
from dpprof.dashboards.figures.side_by_side import abreast
from dpprof.dashboards.view.theme import Theme, template
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.columns import COUNT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_HOVER = {"share": "<br>%{z:.1f} % of the transfers exposed", "time": ""}
_MOST_HEIGHT = 700
_FRAME = 110
_LEAST_HEIGHT = 240


@dataclass(frozen=True)
class RunGrid:
    """The layers and micro-batches of a run, and over how many steps they were added up."""

    id: str
    grid: Grid
    steps: int


def heat_maps(runs: Sequence[RunGrid], theme: Theme, unit: TimeUnit, measure: str) -> Figure:
    """Layer by micro-batch, runs abreast on one scale; cells without operations stay blank.

    `measure` is ``share`` (exposed share of the transfers, in per cent) or ``time`` (exposed time
    per step, in `unit`). One heat map per run: z the measure, rows the layers.
    """
    alike = len({tuple(run.grid.rows) for run in runs}) <= 1
    space = 0.03 if alike else 0.12
    figure = abreast([run.id for run in runs], theme, shared_yaxes=alike, horizontal_spacing=space)
    most = 0.0
    for column, run in enumerate(runs, 1):
        measured = _measured(run, measure, unit)
        most = max(most, *(value or 0.0 for row in measured for value in row), 0.0)
        figure.add_heatmap(
            z=measured,
            x=run.grid.columns,
            y=run.grid.rows,
            customdata=_scaled(run.grid.exposed, max(run.steps, 1) * unit.nanoseconds),
            coloraxis="coloraxis",
            xgap=gap_px(len(run.grid.columns)),
            ygap=gap_px(len(run.grid.rows)),
            hovertemplate=f"%{{y}}, micro-batch %{{x}}{_HOVER[measure]}<br>%{{customdata:.3f}} "
            f"{unit.name} exposed per step<extra></extra>",
            row=1,
            col=column,
        )
    rows = max((len(run.grid.rows) for run in runs), default=1)
    title = "% exposed" if measure == "share" else f"exposed, {unit.name}"
    figure.update_layout(
        height=max(_LEAST_HEIGHT, _FRAME + rows_px(rows, _MOST_HEIGHT)),
        margin={"t": 30 if len(runs) > 1 else 12},
        coloraxis=color_scale(theme, title, 100 if measure == "share" else most),
    )
    figure.update_xaxes(type="category", title_text="micro-batch (direction.number)")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def _measured(run: RunGrid, measure: str, unit: TimeUnit) -> list[list[float | None]]:
    grid = run.grid
    if measure == "share":
        values = np.round(100 * grid.exposed / np.maximum(grid.total, 1), 1).tolist()
    else:
        values = _scaled(grid.exposed, max(run.steps, 1) * unit.nanoseconds)
    return [
        [value if total else None for value, total in zip(*both, strict=True)]
        for both in zip(values, grid.total.tolist(), strict=True)
    ]


def _scaled(times: npt.NDArray[np.int64], by: int) -> list[list[float]]:
    scaled: list[list[float]] = np.round(times / by, 3).tolist()
    return scaled


@dataclass(frozen=True)
class RunSpread:
    """A distribution of a run (`dpprof.dashboards.data.exposure_tables.spread`)."""

    id: str
    table: pd.DataFrame


def spread_boxes(runs: Sequence[RunSpread], theme: Theme, by: str) -> Figure:
    """Boxes of the hidden share of operations: quartiles, whiskers to the least and the most.

    One box trace per run: x the values of `by`, the rest in per cent.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, run in enumerate(runs):
        table = run.table
        parts = {
            name: (100 * table[column]).round(3).tolist()
            for name, column in (
                ("lowerfence", "least"),
                ("q1", "lower"),
                ("median", "median"),
                ("q3", "upper"),
                ("upperfence", "most"),
            )
        }
        figure.add_box(
            x=table[LABEL].astype(str).tolist(),
            **parts,
            customdata=table[COUNT].tolist(),
            name=run.id,
            line={"color": theme.run_color(number), "width": 1.5},
            fillcolor=theme.line if number else None,
        )
    figure.update_layout(
        template=template(theme),
        boxmode="group",
        height=330,
        xaxis={"type": "category", "title": {"text": by}},
        yaxis={"title": {"text": "% hidden"}, "range": [-2, 102]},
        showlegend=len(runs) > 1,
    )
    return figure
