"""Figures of a diff: the waterfall from one step time to the other, the change of each rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpprof.analysis.diff.model import Diff, Part
from dpprof.dashboards.figures.difference import OTHERS, StateChange
from dpprof.dashboards.figures.scales import change_scale
from dpprof.dashboards.view.theme import Theme, template
from dpprof.dashboards.view.words import state_word
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.reporters.diff.sentences import cause_words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LEVELS = {
    "parts": "computing, exposed, bubbles",
    "states": "every state",
    "causes": "down to the causes",
}
"""How far the step is taken apart."""

_DEPTHS = {"parts": ("exposed", "bubble"), "states": ("computing", "exposed", "bubble")}
_MOST_BARS = 14
_MOST_TEXTS = 500


def leaves(diff: Diff, level: str) -> list[tuple[str, int]]:
    """What the change of the step is made of, one of `LEVELS`, with ``change_ns`` of each.

    They add up to ``diff.time.change_ns`` exactly; what did not change is left out, and of more
    than `_MOST_BARS` the smallest are one, `OTHERS`.
    """
    found = [(name, change) for name, change in _leaves(diff.time, level) if change]
    if len(found) <= _MOST_BARS:
        return found
    least = sorted((abs(change) for _, change in found), reverse=True)[_MOST_BARS - 2]
    shown = [one for one in found if abs(one[1]) >= least]
    rest = sum(change for _, change in found) - sum(change for _, change in shown)
    return [*shown, (OTHERS, rest)] if rest else shown


def _leaves(time: Part, level: str) -> Iterator[tuple[str, int]]:
    for part in time.parts:
        if level == "causes":
            yield from _causes(part)
        elif part.name in _DEPTHS[level] and part.parts:
            yield from ((one.name, one.change_ns) for one in part.parts)
        else:
            yield part.name, part.change_ns


def _causes(part: Part) -> Iterator[tuple[str, int]]:
    """The states of a part, each by its causes where it has any."""
    for state in part.parts or [part]:
        if not state.parts:
            yield state.name, state.change_ns
        for cause in state.parts:
            words = cause.name if cause.cause is None else cause_words(cause.cause)
            yield f"{state.name}, {words}", cause.change_ns


def waterfall_changes(diff: Diff, level: str) -> list[StateChange]:
    """`leaves` as nanoseconds per step, mean of the ranks: what the waterfall shows."""
    count = diff.steps * diff.rank_count
    return [StateChange(name, change / count) for name, change in leaves(diff, level)]


@dataclass(frozen=True)
class ChangeRow:
    """A rank or a stage: its label, and nanoseconds per step that each state takes more."""

    label: str
    changes_ns: dict[str, float]


def rank_rows(diff: Diff) -> list[ChangeRow]:
    """A row per pair of ranks that correspond; empty where none do."""
    return [
        ChangeRow(_pair(one.base_rank, one.new_rank), _states(one.time, diff.steps))
        for one in diff.ranks
    ]


def stage_rows(diff: Diff) -> list[ChangeRow]:
    """A row per pipeline stage, whichever ranks hold it; the times of all its ranks together.

    Empty where no stage is known on either side.
    """
    if all(one.stage is None for one in diff.stages):
        return []
    return [
        ChangeRow("none" if one.stage is None else str(one.stage), _states(one.time, diff.steps))
        for one in diff.stages
    ]


def _pair(base: int, new: int) -> str:
    return str(new) if base == new else f"{base} → {new}"


def _states(time: Part, steps: int) -> dict[str, float]:
    """The change of every state and, first, of the whole; per step."""
    states = [state for part in time.parts for state in (part.parts or [part])]
    changes = {state.name: state.change_ns / steps for state in states}
    return {time.name: time.change_ns / steps} | changes


def change_map(rows: Sequence[ChangeRow], what: str, theme: Theme, unit: TimeUnit) -> Figure:
    """A heat map of changes: rows downwards, states to the right; less and more by sign.

    `what` names the rows. z is in `unit`; the text of each cell has its sign, so that colour is
    not alone.
    """
    import plotly.graph_objects as go

    every = dict.fromkeys(name for row in rows for name in row.changes_ns)
    names = [name for name in every if any(row.changes_ns.get(name) for row in rows)]
    values = [[row.changes_ns.get(name, 0.0) / unit.nanoseconds for name in names] for row in rows]
    # The whole step is beyond its parts: it would take their colours away.
    largest = max((abs(one) for line in values for one in line[1:]), default=0.0) or 1.0
    with_text = len(rows) * len(names) <= _MOST_TEXTS
    figure = go.Figure(
        go.Heatmap(
            x=[state_word(name).replace(": ", ":<br>") for name in names],
            y=[row.label for row in rows],
            z=values,
            zmin=-largest,
            zmax=largest,
            colorscale=change_scale(theme),
            colorbar={"title": {"text": unit.name}, "thickness": 12, "outlinewidth": 0},
            texttemplate="%{z:+,.2f}" if with_text else None,
            textfont={"color": theme.text},
            xgap=1,
            ygap=1,
            hovertemplate=f"{what} %{{y}}<br>%{{x}}: %{{z:+,.3f}} {unit.name}<extra></extra>",
        )
    )
    figure.update_layout(
        template=template(theme),
        height=min(1200, 80 + 26 * max(3, len(rows))),
        margin={"t": 8, "b": 8},
        xaxis={"type": "category", "side": "top", "tickangle": 0},
        yaxis={"type": "category", "autorange": "reversed", "title": {"text": what}},
    )
    return figure
