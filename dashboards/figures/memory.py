"""Memory: peaks by rank and what they are made of, curves, and the chunks in flight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpprof.analysis.figures import MemoryFigures
from dpprof.dashboards.data.memory_curves import (
    EVERYTHING,
    NAMES,
    REST,
    UNTOLD,
    RankCurve,
    name_of_rest,
)
from dpprof.dashboards.figures.overlap import RunReport, most_ranks
from dpprof.dashboards.figures.side_by_side import abreast, bound_mark, rank_bars_axis
from dpprof.dashboards.figures.states import pattern
from dpprof.dashboards.view.theme import Theme, template
from dpprof.reporters.blocks.units import ByteUnit, TimeUnit, bytes_text
from dpprof.tables.columns import ACTIVATIONS, COMMUNICATION_BUFFERS
from dpprof.tables.devices import rank_label, rank_name

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_COLORS = {
    "parameters": ("#0072B2", ""),
    "gradients": ("#56B4E9", "\\"),
    "optimizer state": ("#7A5195", "."),
    "activations": ("#E69F00", "/"),
    "communication buffers": ("#D55E00", "x"),
    UNTOLD: ("#E69F00", "/"),
    REST: ("#8C7B5A", "-"),
    EVERYTHING: ("#8D99A6", ""),
}
"""Colour and pattern of each part, so that neither is alone."""

_SMALLEST = 0.001
"""Parts of the peak that are smaller would be in the legend and not in sight."""

_DASHES = ("solid", "dash", "dot", "dashdot")


def peak_bars(runs: Sequence[RunReport], theme: Theme, unit: ByteUnit) -> Figure:
    """Each rank's peak by what it is made of, its predicted bound as a mark; runs abreast.

    One trace per run and part: x the ranks, y bytes in `unit`.
    """
    figure = abreast([run.id for run in runs], theme, shared_yaxes=True)
    for column, run in enumerate(runs, 1):
        ranks = [rank_label(rank.rank) for rank in run.report.ranks]
        parts = [peak_parts(rank.memory) for rank in run.report.ranks]
        for name in _COLORS:
            if any(part.get(name, 0) > _SMALLEST * sum(part.values()) for part in parts):
                color, shape = _COLORS[name]
                figure.add_bar(
                    x=ranks,
                    y=[part.get(name, 0) / unit.bytes for part in parts],
                    name=name,
                    legendgroup=name,
                    showlegend=_first(figure, name),
                    marker={"color": color, "pattern": pattern(shape, theme)},
                    hovertemplate=f"rank %{{x}}<br>{name}: %{{y:.2f}} {unit.name}<extra></extra>",
                    row=1,
                    col=column,
                )
        bounds = [rank.memory.predicted_bytes for rank in run.report.ranks]
        if any(bound is not None for bound in bounds):
            figure.add_scatter(
                x=ranks,
                y=[None if bound is None else bound / unit.bytes for bound in bounds],
                name="predicted bound",
                legendgroup="predicted bound",
                showlegend=_first(figure, "predicted bound"),
                mode="markers",
                marker=bound_mark(theme, most_ranks(runs) * len(runs)),
                hovertemplate=f"rank %{{x}}<br>the schedule predicts: %{{y:.2f}} {unit.name}"
                "<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_layout(barmode="stack", height=340)
    rank_bars_axis(figure, most_ranks(runs))
    figure.update_yaxes(title_text=unit.name, col=1)
    return figure


def _first(figure: Figure, name: str) -> bool:
    return all(trace.name != name for trace in figure.data)


def peak_parts(memory: MemoryFigures) -> dict[str, int]:
    """What a peak is made of; what is not told apart is one part, so that they add up to it."""
    if memory.peak_allocated_bytes is None:
        return {}
    known = {
        "parameters": memory.parameter_bytes,
        "gradients": memory.gradient_bytes,
        "optimizer state": memory.optimizer_bytes,
        NAMES[ACTIVATIONS]: memory.activation_bytes,
        NAMES[COMMUNICATION_BUFFERS]: memory.communication_bytes,
    }
    parts = {name: size for name, size in known.items() if size}
    left = memory.peak_allocated_bytes - sum(parts.values())
    return parts | {name_of_rest(parts): left} if left > 0 else parts


def curve_figure(
    curves: Sequence[RankCurve], theme: Theme, units: tuple[TimeUnit, ByteUnit], top: float
) -> Figure:
    """Bytes over time, above chunks in flight on the same axis, up to `top` bytes.

    The first curve is filled with what it is made of, the others are lines; each peak is marked.
    Times count from the start of the step, in the first of `units`. Where no chunks are known
    there is no place for them.
    """
    from plotly.subplots import make_subplots

    time, size = units
    rows = 2 if any(curve.in_flight for curve in curves) else 1
    heights = [0.68, 0.32][:rows]
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.06
    )
    if curves:
        _add_parts(figure, curves[0], theme, units)
        _add_bound(figure, curves, theme, units, rows)
    for number, curve in enumerate(curves):
        _add_line(figure, curve, number, theme, units)
        _add_in_flight(figure, curve, number, theme, units)
    figure.update_layout(
        template=template(theme),
        height=430 if rows == 2 else 320,
        margin={"t": 56},
        hovermode="x unified" if len(curves) == 1 else "closest",
        legend={"yref": "container", "y": 1, "yanchor": "top"},
    )
    figure.update_yaxes(title_text=size.name, range=[0, 1.2 * top / size.bytes], row=1)
    if rows == 2:
        figure.update_yaxes(title_text="in flight", rangemode="tozero", row=2)
    figure.update_xaxes(title_text=f"{time.name} from the start of the step", row=rows)
    return figure


def _scaled(values: Sequence[int], by: int) -> list[float]:
    return [round(value / by, 6) for value in values]


def _add_parts(
    figure: Figure, curve: RankCurve, theme: Theme, units: tuple[TimeUnit, ByteUnit]
) -> None:
    time, size = units
    for name, band in curve.parts.items():
        if band.max() < _SMALLEST * curve.allocated.max():
            continue
        color, shape = _COLORS[name]
        figure.add_scatter(
            x=_scaled(curve.at_ns.tolist(), time.nanoseconds),
            y=_scaled(band.tolist(), size.bytes),
            name=name,
            stackgroup="parts",
            mode="none",
            line={"shape": "hv"},
            fillcolor=color,
            fillpattern=pattern(shape, theme) | {"fillmode": "overlay", "bgcolor": color},
            hovertemplate=f"{name}: %{{y:.2f}} {size.name}<extra></extra>",
            row=1,
            col=1,
        )


def _add_line(
    figure: Figure,
    curve: RankCurve,
    number: int,
    theme: Theme,
    units: tuple[TimeUnit, ByteUnit],
) -> None:
    time, size = units
    color = theme.text if number == 0 else theme.run_color(number)
    figure.add_scatter(
        x=_scaled(curve.at_ns.tolist(), time.nanoseconds),
        y=_scaled(curve.allocated.tolist(), size.bytes),
        name=f"{rank_name(curve.rank)}, allocated",
        mode="lines",
        line={"shape": "hv", "color": color, "width": 1.2, "dash": _DASHES[number % 4]},
        hovertemplate=f"{rank_name(curve.rank)}: %{{y:.2f}} {size.name}<extra></extra>",
        row=1,
        col=1,
    )
    if curve.peak is not None:
        at, most = curve.peak
        held = "+".join(str(count) for count in curve.chunks_at(at).values())
        figure.add_scatter(
            x=[at / time.nanoseconds],
            y=[most / size.bytes],
            name=f"peak of {rank_name(curve.rank)}",
            mode="markers" if number else "markers+text",
            text=[bytes_text(most) + (f", {held} in flight" if held else "")],
            textposition="top center",
            marker={"symbol": "triangle-down", "size": 10, "color": color},
            showlegend=False,
            hovertemplate="peak: %{text}<extra></extra>",
            row=1,
            col=1,
        )


def _add_bound(
    figure: Figure,
    curves: Sequence[RankCurve],
    theme: Theme,
    units: tuple[TimeUnit, ByteUnit],
    rows: int,
) -> None:
    """What the schedule predicts of the first curve's rank: bytes above, chunks beneath."""
    time, size = units
    figures = curves[0].figures
    ends = [curves[0].at_ns[:1], curves[0].at_ns[-1:]]
    span = [end / time.nanoseconds for part in ends for end in part.tolist()]
    bounds = (
        (1, figures.predicted_bytes, size.bytes, f" {size.name}"),
        (2, figures.predicted_in_flight, 1, " micro-batches"),
    )
    for row, bound, scale, unit in bounds[:rows]:
        if bound is not None and span:
            figure.add_scatter(
                x=span,
                y=[bound / scale] * len(span),
                name="predicted bound",
                legendgroup="predicted bound",
                showlegend=row == 1,
                mode="lines",
                line={"color": theme.text, "width": 1, "dash": "dash"},
                hovertemplate=f"the schedule predicts at most %{{y:.2f}}{unit}<extra></extra>",
                row=row,
                col=1,
            )


def _add_in_flight(
    figure: Figure,
    curve: RankCurve,
    number: int,
    theme: Theme,
    units: tuple[TimeUnit, ByteUnit],
) -> None:
    """Directions stacked for the first curve; one line of all directions for each other one."""
    at = _scaled(curve.in_flight_at.tolist(), units[0].nanoseconds)
    if number == 0:
        for order, (direction, chunks) in enumerate(sorted(curve.in_flight.items())):
            figure.add_scatter(
                x=at,
                y=chunks.tolist(),
                name=f"in flight, direction {direction}",
                stackgroup="in flight",
                mode="lines",
                line={"shape": "hv", "color": theme.run_color(order), "width": 1},
                fillpattern=pattern(("", "/")[order % 2], theme),
                hovertemplate=f"direction {direction}: %{{y}} in flight<extra></extra>",
                row=2,
                col=1,
            )
    elif curve.in_flight:
        figure.add_scatter(
            x=at,
            y=np.sum([*curve.in_flight.values()], axis=0).tolist(),
            name=f"in flight on {rank_name(curve.rank)}",
            mode="lines",
            line={"shape": "hv", "color": theme.run_color(number), "dash": _DASHES[number % 4]},
            hovertemplate=f"{rank_name(curve.rank)}: %{{y}} in flight<extra></extra>",
            row=2,
            col=1,
        )
