"""Figures of the critical path: on which rank it runs when, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from dpprof.dashboards.data.kernel_names import shown_name
from dpprof.dashboards.detail.path import PIECES
from dpprof.dashboards.view.theme import Theme, template
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.columns import END, KIND, NAME, RANK, SLOT, START, WHY
from dpprof.tables.devices import rank_label, rank_name

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LONGEST_NAME = 48
_MOST_TICKS = 32
_PATTERNS = {"idle": "/", "host": "|", "dispatch": ".", "combine": "x", "p2p": "-"}


def path_figure(
    bars: pd.DataFrame, origin_ns: int, span: tuple[int, int], theme: Theme, unit: TimeUnit
) -> Figure:
    """The path through the ranks over time: one trace of bars per kind, and a line along it.

    `bars` are those of `path_bars`; `span` is the range shown, in nanoseconds from `origin_ns`.
    x is time in `unit` from `origin_ns`, y the position of the rank among those on the path.
    """
    import plotly.graph_objects as go

    ranks = sorted(bars[RANK].unique().tolist())
    row = {rank: number for number, rank in enumerate(ranks)}
    drawn = bars.assign(
        at=(bars[START] - origin_ns) / unit.nanoseconds,
        length=(bars[END] - bars[START]) / unit.nanoseconds,
        row=bars[RANK].map(row),
        seen=(bars[END] - bars[START]) * _LEAST_HATCHED >= span[1] - span[0],
    )
    figure = go.Figure(_line(drawn, theme))
    lengths = drawn.groupby(drawn[KIND].astype(str))["length"].sum().sort_values(ascending=False)
    for kind in lengths.index:
        figure.add_bar(**_bars(drawn[drawn[KIND].astype(str) == kind], str(kind), theme, unit))
    figure.update_layout(
        template=template(theme),
        barmode="overlay",
        height=min(760, 130 + 26 * max(3, len(ranks))),
        bargap=0.25,
        legend={"traceorder": "normal"},
        xaxis={
            "title": {"text": f"{unit.name} from the start of the step"},
            "range": [edge / unit.nanoseconds for edge in span],
        },
        yaxis=_rank_axis(ranks),
    )
    return figure


def _line(drawn: pd.DataFrame, theme: Theme) -> Any:
    """The way of the path from bar to bar."""
    import plotly.graph_objects as go

    ends = drawn["at"] + drawn["length"]
    across = [edge for pair in zip(drawn["at"], ends, strict=True) for edge in pair]
    down = [row for one in drawn["row"] for row in (one, one)]
    line = {"color": theme.muted, "width": 1}
    return go.Scatter(x=across, y=down, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _bars(rows: pd.DataFrame, kind: str, theme: Theme, unit: TimeUnit) -> dict[str, Any]:
    return {
        "orientation": "h",
        "base": rows["at"].tolist(),
        "x": rows["length"].tolist(),
        "y": rows["row"].tolist(),
        "name": kind,
        "marker": {
            "color": theme.color(kind),
            "line": {"width": 0},
            "pattern": {
                "shape": _shapes(rows["seen"].tolist(), _PATTERNS.get(kind, "")),
                "fgcolor": theme.panel,
                "fillmode": "overlay",
                "size": 5,
                "solidity": 0.25,
            },
        },
        "customdata": [_words(row) for row in rows.to_dict("records")],
        "hovertemplate": "%{customdata}<br>" + f"%{{x:,.3f}} {unit.name}<extra>{kind}</extra>",
    }


def _shapes(seen: Sequence[bool], shape: str) -> list[str]:
    """A pattern for every bar on which it can be seen, and for the first, which is the legend's.

    On paper every pattern is a picture of its own.
    """
    return [shape if one or not number else "" for number, one in enumerate(seen)]


_LEAST_HATCHED = 250
"""A bar shorter than this part of what is shown is a few pixels wide: no pattern is seen on it."""


def _words(row: Mapping[Any, Any]) -> str:
    if row[PIECES] > 1:
        return f"{rank_name(row[RANK])}: {row[PIECES]} short pieces, mostly this"
    where = f"{rank_name(row[RANK])} {row[SLOT]}".rstrip()
    name = shown_name(str(row[NAME]), _LONGEST_NAME)
    return "<br>".join(filter(None, [where, _plain(name), _plain(str(row[WHY]))]))


def _plain(text: str) -> str:
    """Text without what plotly takes for markup: names come from traces."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rank_axis(ranks: Sequence[int]) -> dict[str, Any]:
    every = max(1, -(-len(ranks) // _MOST_TICKS))
    return {
        "title": {"text": "rank"},
        "tickvals": list(range(0, len(ranks), every)),
        "ticktext": [rank_label(rank) for rank in ranks[::every]],
        "range": [len(ranks) - 0.5, -0.5],
        "zeroline": False,
        "fixedrange": True,
    }


def rank_shares(
    runs: Sequence[tuple[str, Mapping[int, int], int]], theme: Theme, unit: TimeUnit
) -> Figure:
    """By rank, how much of the path runs on it; `runs` are (id, nanoseconds by rank, steps)."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, (id, by_rank, steps) in enumerate(runs):
        ranks = sorted(by_rank)
        figure.add_bar(
            x=ranks,
            y=[by_rank[rank] / steps / unit.nanoseconds for rank in ranks],
            name=id,
            marker={
                "color": theme.run_color(number),
                "pattern": {"shape": ("", "/", "x", ".")[number % 4], "fillmode": "overlay"},
            },
            hovertemplate=f"rank %{{x}}: %{{y:,.2f}} {unit.name}<extra>{id}</extra>",
        )
    figure.update_layout(
        template=template(theme),
        height=300,
        barmode="group",
        showlegend=len(runs) > 1,
        xaxis={"title": {"text": "rank"}, "dtick": 1 if _few(runs) else None},
        yaxis={"title": {"text": f"{unit.name} per step"}},
    )
    return figure


def _few(runs: Sequence[tuple[str, Mapping[int, int], int]]) -> bool:
    return all(len(by_rank) <= _MOST_TICKS for _, by_rank, _ in runs)
