"""Bubbles: by rank and cause, by phase and who was waited for, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.data.bubble_regions import LENGTH
from dpprof.dashboards.figures.overlap import RunReport, most_ranks
from dpprof.dashboards.figures.png import hexadecimal, mix
from dpprof.dashboards.figures.scales import color_scale, gap_px, rows_px
from dpprof.dashboards.figures.side_by_side import abreast, bound_mark, rank_bars_axis
from dpprof.dashboards.figures.states import pattern, state_marker
from dpprof.dashboards.view.theme import Theme, template
from dpprof.dashboards.view.words import cause_word
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.columns import CAUSE_RANK, PHASE, STATE
from dpprof.tables.devices import rank_label, rank_name
from dpprof.tables.kinds import BUBBLE_STATES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_WAITED_FOR = 6
"""Ranks waited for that have a place of their own within a phase and cause."""

_PLAIN = "#B8C0CA"
"""What is no cause."""

_BACK, _LINES = 0.4, 0.62
"""How much of its colour a cause's place and its pattern have: dark text can be read on both."""

_MOST_HEIGHT = 640
_FRAME = 110


def bubble_bars(runs: Sequence[RunReport], theme: Theme, unit: TimeUnit) -> Figure:
    """Bubbles of every rank, stacked by cause, with the ideal as a mark; runs abreast.

    One trace per run and cause: x the ranks, y the time per step in `unit`.
    """
    figure = abreast([run.id for run in runs], theme, shared_yaxes=True)
    totals = [run.report.total.states_ns for run in runs]
    states = [state for state in BUBBLE_STATES if any(total[state] for total in totals)]
    for column, run in enumerate(runs, 1):
        per_step = max(len(run.report.per_step), 1) * unit.nanoseconds
        ranks = [rank_label(rank.rank) for rank in run.report.ranks]
        for state in states:
            name = cause_word(state)
            figure.add_bar(
                x=ranks,
                y=[rank.states_ns[state] / per_step for rank in run.report.ranks],
                name=name,
                legendgroup=state,
                showlegend=column == 1,
                marker=state_marker(state, theme),
                hovertemplate=f"rank %{{x}}<br>{name}: %{{y:.3f}} {unit.name} per step"
                "<extra></extra>",
                row=1,
                col=column,
            )
        if run.report.ideal is not None:
            ideal = {one.rank: one.bubble_ns for one in run.report.ideal.ranks}
            figure.add_scatter(
                x=ranks,
                y=[ideal.get(rank.rank, 0) / per_step for rank in run.report.ranks],
                name="ideal",
                legendgroup="ideal",
                showlegend=column == 1,
                mode="markers",
                marker=bound_mark(theme, most_ranks(runs) * len(runs)),
                hovertemplate=f"rank %{{x}}<br>the schedule allows: %{{y:.3f}} {unit.name}"
                "<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_layout(barmode="stack", height=340)
    rank_bars_axis(figure, most_ranks(runs))
    figure.update_yaxes(title_text=f"{unit.name} per step", col=1)
    return figure


@dataclass(frozen=True)
class RunCauses:
    """Bubbles of a run by phase, cause and rank waited for.

    Source: `dpprof.dashboards.data.bubble_regions.by_cause`.
    """

    id: str
    table: pd.DataFrame


@dataclass(frozen=True)
class _Node:
    """A part of all bubbles; `state` is empty above the causes."""

    path: str
    label: str
    state: str
    size_ns: int


def cause_icicle(run: RunCauses, theme: Theme, unit: TimeUnit) -> Figure:
    """All bubbles of a step, split by phase, then cause, then who was waited for.

    One icicle trace: ids are paths (``all/steady/bubble.straggler/3``), values nanoseconds of all
    ranks. Warm-up and cooldown are phases and causes at once and have one place.
    """
    import plotly.graph_objects as go

    nodes = _nodes(run)
    colors, lines = (
        [_paler(one.state, theme, share) for one in nodes] for share in (_BACK, _LINES)
    )
    shapes = [theme.pattern(node.state) for node in nodes]
    # Over a list of colours plotly's "overlay" draws black.
    drawn = pattern("", theme) | {"shape": shapes, "fillmode": "replace", "bgcolor": colors}
    drawn["fgcolor"] = lines
    figure = go.Figure(
        go.Icicle(
            ids=[node.path for node in nodes],
            labels=[node.label for node in nodes],
            parents=[node.path.rpartition("/")[0] for node in nodes],
            values=[node.size_ns for node in nodes],
            branchvalues="total",
            sort=False,
            leaf={"opacity": 1},
            marker={"colors": colors, "pattern": drawn},
            customdata=[unit.full(node.size_ns) for node in nodes],
            # Those of ranks are low, and many.
            texttemplate=[
                "%{label}" + (": " if one.label.startswith("for ") else "<br>") + "%{customdata}"
                for one in nodes
            ],
            hovertemplate="%{label}: %{customdata}, %{percentRoot:.1%} of all bubbles"
            "<extra></extra>",
            textfont={"color": "#111111"},  # readable on the pale colours, in both themes
        )
    )
    figure.update_layout(template=template(theme), height=380, margin={"t": 8, "l": 8, "b": 8})
    figure.update_layout(uniformtext={"minsize": 9, "mode": "hide"})
    return figure


def _paler(state: str, theme: Theme, share: float) -> str:
    return hexadecimal(mix(theme.color(state), "#FFFFFF", share)) if state else _PLAIN


def _nodes(run: RunCauses) -> list[_Node]:
    table, root = run.table, "all"
    nodes = [_Node(root, f"bubbles of {run.id}", "", int(table[LENGTH].sum()))]
    for phase, of_phase in table.groupby(PHASE, observed=True, sort=False):
        path, own = f"{root}/{phase}", f"bubble.{phase}"
        state = own if own in BUBBLE_STATES else ""
        nodes.append(_Node(path, str(phase), state, int(of_phase[LENGTH].sum())))
        if state:
            nodes += _waited_nodes(path, state, of_phase)
            continue
        for name, of_state in of_phase.groupby(STATE, observed=True, sort=False):
            below, size = f"{path}/{name}", int(of_state[LENGTH].sum())
            nodes.append(_Node(below, cause_word(str(name)), str(name), size))
            nodes += _waited_nodes(below, str(name), of_state)
    return nodes


def _waited_nodes(path: str, state: str, table: pd.DataFrame) -> list[_Node]:
    longest = table.sort_values(LENGTH, ascending=False)
    ranks, lengths = longest[CAUSE_RANK].tolist(), longest[LENGTH].tolist()
    if all(rank < 0 for rank in ranks):
        return []
    shown = [
        _Node(
            f"{path}/{rank}",
            "no rank known" if rank < 0 else f"for {rank_name(rank)}",
            state,
            length,
        )
        for rank, length in zip(ranks, lengths, strict=True)
    ]
    rest = sum(lengths[_MOST_WAITED_FOR:])
    others = [_Node(f"{path}/others", "for others", state, rest)] if rest else []
    return [*shown[:_MOST_WAITED_FOR], *others]


@dataclass(frozen=True)
class RunMatrix:
    """Times between the ranks of a run (`dpprof.dashboards.data.bubble_regions.waited_matrix`)."""

    id: str
    ranks: Sequence[int]
    matrix: npt.NDArray[np.int64]


def waited_map(runs: Sequence[RunMatrix], theme: Theme, unit: TimeUnit) -> Figure:
    """Who (rows) waits for whom (columns), runs abreast on one scale; one heat map per run."""
    figure = abreast([run.id for run in runs], theme, horizontal_spacing=0.1)
    for column, run in enumerate(runs, 1):
        ranks = [rank_label(rank) for rank in run.ranks]
        z = [
            [round(value / unit.nanoseconds, 4) if value else None for value in row]
            for row in run.matrix.tolist()
        ]
        figure.add_heatmap(
            z=z,
            x=ranks,
            y=ranks,
            coloraxis="coloraxis",
            xgap=gap_px(len(run.ranks)),
            ygap=gap_px(len(run.ranks)),
            hovertemplate=f"rank %{{y}} waits for rank %{{x}}: %{{z:.3f}} {unit.name}"
            "<extra></extra>",
            row=1,
            col=column,
        )
    rows = max((len(run.ranks) for run in runs), default=1)
    most = max((int(run.matrix.max(initial=0)) for run in runs), default=0)
    figure.update_layout(
        height=max(240, _FRAME + rows_px(rows, _MOST_HEIGHT)),
        margin={"t": 30 if len(runs) > 1 else 12},
        coloraxis=color_scale(theme, unit.name, most / unit.nanoseconds),
    )
    figure.update_xaxes(type="category", title_text="is waited for")
    figure.update_yaxes(type="category", autorange="reversed", title_text="waits", col=1)
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


@dataclass(frozen=True)
class RunIdle:
    """How idle the ranks of a run are in each time bin.

    `edges_ns` count from the start of the step. Source:
    `dpprof.dashboards.data.bubble_regions.idle_shares`.
    """

    id: str
    ranks: Sequence[int]
    edges_ns: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


def idle_map(runs: Sequence[RunIdle], theme: Theme, unit: TimeUnit) -> Figure:
    """When ranks are idle: ranks by time, one run above the other on one time axis.

    One heat map per run: z per cent of the bin that the rank is idle.
    """
    from plotly.subplots import make_subplots

    heights = [max(len(run.ranks), 1) for run in runs]
    height = max(220, _FRAME + 30 * (len(runs) - 1) + rows_px(sum(heights), _MOST_HEIGHT))
    figure = make_subplots(
        rows=max(len(runs), 1),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=30 / height if len(runs) > 1 else 0.0,
        subplot_titles=[run.id for run in runs] if len(runs) > 1 else None,
    )
    figure.update_annotations(font={"size": 13})
    for row, run in enumerate(runs, 1):
        figure.add_heatmap(**_idle(run, unit), coloraxis="coloraxis", row=row, col=1)
    figure.update_layout(
        template=template(theme),
        height=height,
        margin={"t": 30 if len(runs) > 1 else 12},
        coloraxis=color_scale(theme, "% idle", 100),
    )
    figure.update_yaxes(type="category", autorange="reversed", title_text="rank")
    figure.update_xaxes(title_text=f"{unit.name} from the start of the step", row=len(runs))
    return figure


def _idle(run: RunIdle, unit: TimeUnit) -> dict[str, Any]:
    return {
        "z": np.round(100 * run.shares, 1).tolist(),
        "x": (run.edges_ns / unit.nanoseconds).round(4).tolist(),
        "y": [rank_label(rank) for rank in run.ranks],
        "hovertemplate": f"rank %{{y}} at %{{x:.2f}} {unit.name}: %{{z:.0f}} % idle<extra></extra>",
    }
