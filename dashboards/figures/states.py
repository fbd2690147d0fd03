"""Where the time goes: bars of the states that a rank can be in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpprof.dashboards.view.theme import Theme, template
from dpprof.dashboards.view.words import state_word
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.kinds import STATES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INSIDE_SLOTS = "inside slots"
IDLE = "idle"
"""The two states of an ideal step."""

_BAR_HEIGHT = 34
_FRAME = 120


@dataclass(frozen=True)
class StateBar:
    """A bar: what it is of, and nanoseconds per state, which add up to its length."""

    name: str
    states_ns: Mapping[str, float]


def state_bars(bars: Sequence[StateBar], theme: Theme, unit: TimeUnit) -> Figure:
    """Stacked bars from left to right, the first one on top; states that do not occur are left out.

    One trace per state: x holds its time in `unit`, y the bars' names.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    names = [bar.name for bar in bars]
    for state in (*STATES, INSIDE_SLOTS, IDLE):
        values = [bar.states_ns.get(state, 0) / unit.nanoseconds for bar in bars]
        if any(values):
            figure.add_bar(
                x=values,
                y=names,
                name=state_word(state),
                orientation="h",
                marker=state_marker(state, theme),
                customdata=_shares(bars, state),
                hovertemplate=f"%{{y}}<br>{state_word(state)}: %{{x:.2f}} {unit.name}"
                "<br>%{customdata} of the step<extra></extra>",
            )
    figure.update_layout(
        template=template(theme),
        barmode="stack",
        legend_traceorder="normal",
        height=_FRAME + _BAR_HEIGHT * max(len(bars), 1),
        xaxis_title=f"{unit.name} per step",
        yaxis={"autorange": "reversed", "type": "category"},
    )
    return figure


def state_marker(state: str, theme: Theme) -> dict[str, object]:
    """Colour and pattern of a state's bars, so that neither is alone."""
    if state in (INSIDE_SLOTS, IDLE):
        color, shape = (theme.muted, "") if state == INSIDE_SLOTS else (theme.line, "/")
    else:
        color, shape = theme.color(state), theme.pattern(state)
    return {
        "color": color,
        "line": {"width": 0},
        "pattern": pattern(shape, theme),
    }


def pattern(shape: str, theme: Theme) -> dict[str, object]:
    """A pattern shape in the panel's colour over the bar's own."""
    look = {"fgcolor": theme.panel, "fillmode": "overlay", "size": 6, "solidity": 0.25}
    return {"shape": shape, **look}


def _shares(bars: Sequence[StateBar], state: str) -> list[str]:
    wholes = [sum(bar.states_ns.values()) for bar in bars]
    return [
        f"{bar.states_ns.get(state, 0) / whole:.1%}" if whole else "n/a"
        for bar, whole in zip(bars, wholes, strict=True)
    ]
