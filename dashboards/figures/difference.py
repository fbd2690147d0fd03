"""What the difference between two step times is made of, as a waterfall."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpprof.analysis.model import Report
from dpprof.dashboards.figures.states import state_name
from dpprof.dashboards.view.theme import BETTER_COLOR, WORSE_COLOR, Theme, template
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.kinds import COMPUTE_ONLY, OVERLAP, STATES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_SMALLEST = 0.002
"""Changes below this share of the baseline's step are shown as one: others."""
OTHERS = "others"
_LABEL_LETTERS = 12
"""Of a line below a bar: so much fits where there are most bars."""

_MANY_BARS = 10
COMPUTING = "computing"
"""Compute and overlap: what is hidden under computing makes no step longer."""

_BARS = ((COMPUTING, (COMPUTE_ONLY, OVERLAP)), *((one, (one,)) for one in STATES[2:]))


@dataclass(frozen=True)
class StateChange:
    """By how much a state makes the step longer (positive) or shorter, in nanoseconds per step."""

    name: str
    change_ns: float


def state_changes(new: Report, base: Report) -> list[StateChange]:
    """The change of every state, mean of the ranks, per step; they add up to that of the step time.

    The smallest are summed up as `OTHERS`. Empty where a side has no steps.
    """
    if not (_spans(new) and _spans(base)):
        return []
    changes = [
        StateChange(name, _mean(new, states) - _mean(base, states)) for name, states in _BARS
    ]
    least = _SMALLEST * base.window_ns / len(base.per_step)
    shown = [one for one in changes if abs(one.change_ns) >= least]
    rest = sum(one.change_ns for one in changes if abs(one.change_ns) < least)
    return [*shown, StateChange(OTHERS, rest)] if rest else shown


def _spans(report: Report) -> int:
    return len(report.ranks) * len(report.per_step)


def _mean(report: Report, states: Sequence[str]) -> float:
    return sum(report.total.states_ns[state] for state in states) / _spans(report)


def waterfall(
    names: tuple[str, str],
    base_ns: float,
    changes: Sequence[StateChange],
    theme: Theme,
    unit: TimeUnit,
) -> Figure:
    """From the step time of the baseline (``names[1]``) by its changes to that of ``names[0]``.

    One waterfall trace: x names the steps, y holds them in `unit`.
    """
    import plotly.graph_objects as go

    values = [base_ns, *(one.change_ns for one in changes), 0.0]
    new_ns = base_ns + sum(one.change_ns for one in changes)
    scaled = [value / unit.nanoseconds for value in values]
    texts = [unit.text(base_ns), *(f"{value:+.2f}" for value in scaled[1:-1]), unit.text(new_ns)]
    line = {"line": {"color": theme.line, "width": 1}}
    figure = go.Figure(
        go.Waterfall(
            x=[
                names[1],
                *(_label(one.name) for one in changes),
                names[0],
            ],
            y=scaled,
            measure=["absolute", *("relative" for _ in changes), "total"],
            text=texts,
            textposition="outside",
            cliponaxis=False,
            connector=line,
            increasing={"marker": {"color": WORSE_COLOR}},
            decreasing={"marker": {"color": BETTER_COLOR}},
            totals={"marker": {"color": theme.muted}},
            hovertemplate=f"%{{x}}: %{{text}} {unit.name}<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(theme),
        height=330,
        showlegend=False,
        xaxis={"type": "category", "tickangle": 0, "tickfont": {"size": _label_size(len(values))}},
        yaxis={"title": {"text": f"{unit.name} per step"}, "rangemode": "tozero"},
    )
    return figure


def _label(name: str) -> str:
    """A state, and its cause, in lines that are narrower than a bar's place."""
    parts = state_name(name).replace(": ", ":\n").splitlines()
    lines = [textwrap.wrap(part, _LABEL_LETTERS, break_long_words=False) for part in parts]
    return "<br>".join(line for part in lines for line in part)


def _label_size(bars: int) -> int:
    return 11 if bars > _MANY_BARS else 12
