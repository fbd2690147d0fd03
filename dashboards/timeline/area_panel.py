"""The panel of an area: what is inside it, by state, kind, name and rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpprof.analysis.accounting.area import BY_NAME
from dpprof.dashboards.data.kernel_names import shown_name
from dpprof.dashboards.parts.table import Column, TableRow, table, unknown
from dpprof.dashboards.timeline.area_figures import (
    RunArea,
    area_figures,
    bubble_ns,
    exposed_ns,
    hidden_share,
)
from dpprof.dashboards.timeline.scene import Scene
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Area
from dpprof.dashboards.view.words import state_word
from dpprof.reporters.blocks.units import TimeUnit, share_text, time_unit
from dpprof.tables.devices import rank_label
from dpprof.tables.kinds import COMPUTE_ONLY, FUSED, OVERLAP

if TYPE_CHECKING:
    from dash.development.base_component import Component

AREA_CSV = "/area.csv"
_MOST_NAMES = 12
_LONGEST = 40


def area_panel(context: Context, scene: Scene, area: Area) -> list[Component]:
    """How long the area is, and its tables for each run in it."""
    from dash import html

    figures = [one for one in area_figures(context.library, scene, area) if one.ranks]
    if not figures:
        return [html.P("The area is not in this picture: other runs or ranks.", className="about")]
    unit = time_unit(area.end_ns - area.start_ns)
    parts = [_heading(context, area, figures)]
    for one in figures:
        title = [html.H3(one.run)] if len(figures) > 1 else []
        parts.append(html.Div([*title, html.Div(_tables(one, unit), className="sides")]))
    return parts


def _heading(context: Context, area: Area, figures: list[RunArea]) -> Component:
    from dash import dcc, html

    unit = time_unit(max(area.end_ns, 1))
    ranks = sum(len(one.ranks) for one in figures)
    words = f"{time_unit(area.end_ns - area.start_ns).full(area.end_ns - area.start_ns)} of "
    words += "1 rank" if ranks == 1 else f"{ranks:,} ranks"
    span = f"from {unit.full(area.start_ns)} to {unit.full(area.end_ns)}"
    zoomed = context.link(time_range=(area.start_ns, area.end_ns))
    file = f"{AREA_CSV}?{context.view.search()}"
    return html.Div(
        [
            html.H2(words),
            html.Span(span, className="about"),
            dcc.Link("Zoom to it (F)", href=zoomed, className="button"),
            html.A("CSV", href=file, className="button", download="area.csv"),
            dcc.Link("Close (Esc)", href=context.link(area=None), className="button"),
        ],
        className="heading",
    )


def _tables(one: RunArea, unit: TimeUnit) -> list[Component]:
    tables = [_states(one, unit), _kinds(one, unit), _ranks(one, unit), _names(one, unit)]
    return [table for table in tables if table is not None]


def _titled(title: str, content: Component) -> Component:
    from dash import html

    return html.Div([html.H3(title), content])


def _states(one: RunArea, unit: TimeUnit) -> Component:
    columns = [
        Column("state", number=False),
        Column(unit.name, "all ranks together"),
        Column("share", "of the time of all ranks"),
    ]
    rows = [
        TableRow(state, [_state(state), _time(total, unit), share_text(total / one.span_ns)])
        for state, total in sorted(one.states.items(), key=lambda item: -item[1])
    ]
    return _titled("By state", table(f"area-states-{one.run}", columns, rows))


def _state(state: str) -> str:
    return state_word(state)


def _kinds(one: RunArea, unit: TimeUnit) -> Component | None:
    columns = [
        Column("communication", number=False),
        Column(unit.name, "transfers, without waiting for peers"),
        Column("exposed", "while nothing is computed"),
        Column("hidden", "the share under computing"),
    ]
    rows = [
        TableRow(
            kind,
            [
                kind,
                _time(own.total_ns, unit),
                _time(own.exposed_ns, unit),
                unknown(own.hidden_reason or "nothing is transferred")
                if own.hidden_reason or not own.total_ns
                else share_text(own.hidden_ns / own.total_ns),
            ],
        )
        for kind, own in one.kinds.items()
    ]
    if not rows:
        return None
    return _titled("Communication", table(f"area-kinds-{one.run}", columns, rows))


def _ranks(one: RunArea, unit: TimeUnit) -> Component:
    columns = [
        Column("rank", number=False),
        Column("computes", f"{unit.name} in which anything is computed"),
        Column("exposed", f"{unit.name} of communication that nothing hides"),
        Column("bubbles", f"{unit.name} in which nothing is done"),
        Column("hidden", "share of communication under computing"),
    ]
    rows = []
    for own in one.ranks:
        computes = sum(own.states[state] for state in (COMPUTE_ONLY, OVERLAP, FUSED))
        times = [_time(value, unit) for value in (computes, exposed_ns(own), bubble_ns(own))]
        share = hidden_share(own)
        hidden = unknown("no communication, or what hides it is not known")
        last = hidden if share is None else share_text(share)
        rows.append(TableRow(str(own.rank), [rank_label(own.rank), *times, last]))
    return _titled(f"By rank ({unit.name})", table(f"area-ranks-{one.run}", columns, rows))


def _names(one: RunArea, unit: TimeUnit) -> Component:
    from dash import html

    columns = [
        Column("activity", number=False),
        Column("kind", number=False),
        Column("count"),
        Column(unit.name, "each for itself: what runs at once counts as often"),
    ]
    names = one.names
    shown = zip(*(names.head(_MOST_NAMES)[name].tolist() for name in BY_NAME), strict=True)
    rows = [
        TableRow(
            str(at),
            [
                html.Span(shown_name(name, _LONGEST), title=name),
                kind,
                f"{count:,}",
                _time(total, unit),
            ],
        )
        for at, (kind, name, count, total) in enumerate(shown)
    ]
    left = len(names) - len(rows)
    content = [table(f"area-names-{one.run}", columns, rows)]
    if left > 0:
        content.append(html.P(f"and {left:,} more names; the CSV has all", className="about"))
    return _titled("By activity", html.Div(content))


def _time(value_ns: int, unit: TimeUnit) -> str:
    return f"{value_ns / unit.nanoseconds:,.2f}"
