"""The figure of kinds: how much time each has, and how much of it no rule knew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.analysis.model import KindReport
from dpprof.dashboards.figures.states import pattern
from dpprof.dashboards.view.theme import Theme, template
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.tables.kinds import KINDS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MATCHED, UNMATCHED = "known by a rule", "known by no rule"


def kind_bars(report: KindReport, theme: Theme, unit: TimeUnit) -> Figure:
    """A bar per kind that occurs: the time of its activities, what no rule knew hatched.

    A trace per kind and, where there is any, one more for what is `UNMATCHED`; x holds the time of
    all ranks in `unit`, y the kind.
    """
    import plotly.graph_objects as go

    kinds = [kind for kind in KINDS if any(one.kind == kind for one in report.kinds)]
    figure = go.Figure()
    for kind in kinds:
        for name, matched in ((MATCHED, True), (UNMATCHED, False)):
            rows = [one for one in report.kinds if (one.kind, one.matched) == (kind, matched)]
            if rows:
                time = sum(one.total_ns for one in rows) / unit.nanoseconds
                look = pattern("" if matched else "x", theme)
                figure.add_bar(
                    x=[time],
                    y=[kind],
                    orientation="h",
                    name=name,
                    marker={"color": theme.color(kind), "line": {"width": 0}, "pattern": look},
                    hovertemplate=f"%{{y}}, {name}: %{{x:,.2f}} {unit.name}<extra></extra>",
                )
    figure.update_layout(
        template=template(theme),
        barmode="stack",
        height=90 + 26 * max(2, len(kinds)),
        margin={"t": 8},
        showlegend=False,
        xaxis={"title": {"text": f"{unit.name}, all ranks and steps together"}},
        yaxis={"type": "category", "autorange": "reversed"},
    )
    return figure
