"""The history of a metric over runs, what got worse marked with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.history import HistoryMetric, Point
from dpprof.dashboards.view.theme import BETTER_COLOR, WORSE_COLOR, Theme, template
from dpprof.reporters.blocks.units import byte_unit, time_unit

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def trend(series: Mapping[str, Sequence[Point]], metric: HistoryMetric, theme: Theme) -> Figure:
    """A line for each thing that was run, over the runs in their order.

    Error bars are the 95 % interval of the change from the run before of the same thing. A marker
    up or down says that this interval holds no 0, its colour whether that is good news.
    """
    import plotly.graph_objects as go

    scale, unit = _unit([point for points in series.values() for point in points], metric)
    figure = go.Figure()
    entries = [point.entry for points in series.values() for point in points]
    order = sorted({(one.created, one.name) for one in entries})
    for number, (name, points) in enumerate(series.items()):
        reach = [_reach(point) / scale for point in points]
        color = theme.run_color(number)
        figure.add_scatter(
            x=[point.entry.name for point in points],
            y=[point.value / scale for point in points],
            name=name,
            mode="lines+markers",
            line={"color": color, "dash": _DASHES[number % len(_DASHES)], "width": 1.5},
            marker=_marker(points, metric, color, theme),
            error_y={"type": "data", "array": reach, "thickness": 1, "width": 3},
            customdata=[_words(point, metric, scale, unit) for point in points],
            hovertemplate="%{x}: %{customdata}<extra></extra>",
        )
    values = [point.value / scale for points in series.values() for point in points]
    figure.update_layout(
        template=template(theme),
        height=340,
        showlegend=True,
        xaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [name for _, name in order],
        },
        yaxis={"title": {"text": f"{metric.label}, {unit}"}, "range": _reading_range(values)},
    )
    return figure


def _reading_range(values: Sequence[float]) -> list[float] | None:
    """The axis that the points need; a wide interval, which would flatten them, is cut."""
    if len(set(values)) < 2:
        return None
    low, high = min(values), max(values)
    margin = 0.4 * (high - low)
    return [max(0.0, low - margin) if low >= 0 else low - margin, high + margin]


def _reach(point: Point) -> float:
    interval = None if point.change is None else point.change.interval
    return 0.0 if interval is None else (interval[1] - interval[0]) / 2


def _marker(
    points: Sequence[Point], metric: HistoryMetric, color: str, theme: Theme
) -> dict[str, Any]:
    symbols = {0: "circle", 1: "triangle-up", -1: "triangle-down"}
    colors = []
    for point in points:
        good = point.worse * metric.better
        colors.append(color if not good else BETTER_COLOR if good > 0 else WORSE_COLOR)
    return {
        "symbol": [symbols[int(point.worse)] for point in points],
        "size": [13 if point.worse else 8 for point in points],
        "color": colors,
        "line": {"color": theme.panel, "width": 1},
    }


def _words(point: Point, metric: HistoryMetric, scale: float, unit: str) -> str:
    text = f"{point.value / scale:,.2f} {unit}"
    if point.entry.commit:
        text += f", commit {point.entry.commit[:12]}"
    change = point.change
    if change is None or change.relative is None:
        return text
    text += f"<br>{change.relative:+.1%} from the run before"
    if change.interval is not None:
        low, high = (edge / scale for edge in change.interval)
        text += f" (95 %: {low:+,.2f} to {high:+,.2f} {unit})"
    good = point.worse * metric.better
    return text + ("" if not good else "<br>better" if good > 0 else "<br>worse")


def _unit(points: Sequence[Point], metric: HistoryMetric) -> tuple[float, str]:
    largest = max((point.value for point in points), default=0.0)
    if metric.unit == "ns":
        time = time_unit(largest)
        return time.nanoseconds, time.name
    if metric.unit == "bytes":
        size = byte_unit(largest)
        return size.bytes, size.name
    return (0.01, "%") if metric.unit == "share" else (1.0, "per s")
