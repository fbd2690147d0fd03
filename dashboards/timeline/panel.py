"""The tip at the pointer, and the panel of what is selected with links to where it leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.timeline.area_panel import area_panel
from dpprof.dashboards.timeline.arrows import End, ends_of
from dpprof.dashboards.timeline.hit_test import BUBBLE, Hit, hit_at, hit_of
from dpprof.dashboards.timeline.scene import Scene
from dpprof.dashboards.timeline.tooltips import facts_of, title_of
from dpprof.dashboards.timeline.view import scene_of
from dpprof.dashboards.view.page import Context
from dpprof.reporters.blocks.units import time_unit
from dpprof.tables.devices import rank_name

if TYPE_CHECKING:
    from dash.development.base_component import Component

NEAR_PX = 3
"""How far from the pointer something may be that is meant by it."""

_MOST_LINKS = 12


def pointed(context: Context, scene: Scene, at: Mapping[str, Any]) -> Hit | None:
    """What the pointer is at: `at` has `x`, nanoseconds of the step, and `y`, pixels."""
    x, y = at.get("x"), at.get("y")
    if not isinstance(x, int | float) or not isinstance(y, int | float):
        return None
    near = NEAR_PX * (scene.end_ns - scene.start_ns) // scene.width_px
    return hit_at(context.library, scene, int(x), float(y), near)


def tip(context: Context, scene: Scene, at: Mapping[str, Any]) -> list[Component]:
    """What is known of what is under the pointer; empty where there is nothing."""
    from dash import html

    hit = pointed(context, scene, at)
    if hit is None:
        return []
    several = len(scene.runs) > 1
    lines = [html.B(title_of(hit))]
    lines += [html.Div(hit.run.run.id, className="about")] if several else []
    lines.append(_table(hit))
    if hit.others:
        lines.append(html.Div(f"and {hit.others} more at this time", className="about"))
    return lines


def _table(hit: Hit) -> Component:
    from dash import html

    rows = [
        html.Tr([html.Th(name), html.Td(text, **{"data-fact": name})])
        for name, text in facts_of(hit).items()
    ]
    return html.Table(html.Tbody(rows), className="facts")


def details(context: Context, screen: Mapping[str, Any]) -> list[Component]:
    """The panel: facts, where it leads, and how to get there."""
    from dash import dcc, html

    scene = scene_of(context, screen)
    hit = hit_of(context.library, scene, context.view.select)
    if context.view.area is not None and hit is None:
        return area_panel(context, scene, context.view.area)
    if hit is None:
        words = "What is selected is not in this picture: another step, other ranks or runs."
        return [html.P(words, className="about")] if context.view.select is not None else []
    zoomed = context.link(time_range=around(hit.start_ns, hit.end_ns))
    links = [
        dcc.Link("Zoom to it (F)", href=zoomed, className="button"),
        dcc.Link("Close (Esc)", href=context.link(select=None), className="button"),
    ]
    return [
        html.Div(
            [html.H2(title_of(hit)), html.Span(hit.run.run.id, className="about"), *links],
            className="heading",
        ),
        html.Div([_table(hit), _ends(context, hit)], className="sides"),
    ]


def around(start_ns: int, end_ns: int) -> tuple[int, int]:
    """A span with as much again on both sides, at least a microsecond."""
    margin = max(end_ns - start_ns, 1000)
    return max(0, start_ns - margin), end_ns + margin


def _ends(context: Context, hit: Hit) -> Component:
    from dash import html

    ends = ends_of(hit)
    if not ends:
        return html.Div(html.P(_no_ends(hit), className="about") if _no_ends(hit) else [])
    title = "Waited for" if hit.what == BUBBLE else "Other ends"
    items = [html.Li(_end(context, hit, end)) for end in ends[:_MOST_LINKS]]
    if len(ends) > _MOST_LINKS:
        items.append(html.Li(f"and {len(ends) - _MOST_LINKS} more"))
    return html.Div([html.H3(title), html.Ul(items, **{"data-testid": "ends"})])


def _no_ends(hit: Hit) -> str:
    if hit.what == BUBBLE:
        return "Nothing in the trace names a peer that it waited for."
    if "waiting" in facts_of(hit):
        return "Its peers are not known: their traces are missing, or it was not matched."
    return ""


def _end(context: Context, hit: Hit, end: End) -> Any:
    from dash import dcc, html

    unit = time_unit(hit.run.window_ns)
    words = (
        f"{rank_name(end.rank)}, {end.name}, {unit.full(end.start_ns)} to {unit.full(end.end_ns)}"
    )
    first, last = min(end.start_ns, hit.start_ns), max(end.end_ns, hit.end_ns)
    both = context.link(time_range=around(first, last), select=hit.selection)
    there = context.link(
        time_range=around(end.start_ns, end.end_ns), select=end.selection(hit.run.run.id)
    )
    return [
        html.Span(f"{words} "),
        dcc.Link("go there", href=there),
        html.Span(" · "),
        dcc.Link("see both", href=both),
    ]
