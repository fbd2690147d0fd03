"""What the difference between two step times is made of, as a waterfall."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from dpprof.analysis.model import Report
from dpprof.dashboards.view.theme import BETTER_COLOR, WORSE_COLOR, Theme, template
from dpprof.dashboards.view.words import state_word
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
_SMALL, _AROUND = 0.15, 0.5
"""Changes within this share of the step break the axis; so much of them is shown around them."""

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
    _break_axis(figure, [level / unit.nanoseconds for level in _levels(base_ns, changes)], theme)
    return figure


def _levels(base_ns: float, changes: Sequence[StateChange]) -> list[float]:
    """Where the bars begin and end."""
    return list(accumulate((one.change_ns for one in changes), initial=base_ns))


def _break_axis(figure: Figure, levels: Sequence[float], theme: Theme) -> None:
    """Leaves out the part of the axis that nothing happens in, where changes are small beside it.

    The bars of the two steps are marked as broken, and so is the axis.
    """
    low, high = min(levels), max(levels)
    if not 0 < high - low < _SMALL * high:
        return
    around = _AROUND * (high - low)
    title = f"{figure.layout.yaxis.title.text}, from {low - around:,.4g} on"
    figure.update_yaxes(range=[low - around, high + around], rangemode="normal", title_text=title)
    names = figure.data[0].x
    for name in (names[0], names[-1]):
        figure.add_annotation(
            x=name,
            y=0.07,
            yref="paper",
            text="≈",
            showarrow=False,
            font={"size": 22, "color": theme.text},
            bgcolor=theme.panel,
            borderpad=0,
        )


def _label(name: str) -> str:
    """A state, and its cause, in lines that are narrower than a bar's place."""
    parts = state_word(name).replace(": ", ":\n").splitlines()
    lines = [textwrap.wrap(part, _LABEL_LETTERS, break_long_words=False) for part in parts]
    return "<br>".join(line for part in lines for line in part)


def _label_size(bars: int) -> int:
    return 11 if bars > _MANY_BARS else 12
