"""The parts of the shell: header, navigation, pickers, help, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.dashboards.data.library import IDEAL
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.parts.badge import badge, run_name
from dpprof.dashboards.parts.panel import error_panel, evidence_note
from dpprof.dashboards.parts.picker import picker
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import THEMES
from dpprof.dashboards.view.steps import view_step
from dpprof.evidence.evidence import texts

if TYPE_CHECKING:
    from dash.development.base_component import Component

KEYS = (
    ("W  S", "zoom in and out"),
    ("A  D", "pan left and right"),
    (". ,", "next and previous bubble, slot or activity"),
    ("\N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}", "the same, in the timeline"),
    ("\N{UPWARDS ARROW} \N{DOWNWARDS ARROW}", "select in the row above or beneath"),
    ("0", "the whole step"),
    ("F", "zoom to what is selected"),
    ("/", "search; Enter and Shift+Enter: next and previous match"),
    ("drag", "what is in an area; with Shift pan, with Ctrl zoom"),
    ("drag the axis", "zoom to a range"),
    ("Ctrl + wheel", "zoom at the pointer"),
    ("click a rank", "pin it above the others, or let go of it"),
    ("Esc", "select nothing, close this"),
    ("?", "this help"),
)
"""The keys, those of Perfetto."""


_WATCH_MS = 4000


def empty_shell(*, watch: bool = False) -> Component:
    """The shell before anything is shown in it; with `watch` it asks for new runs."""
    from dash import dcc, html

    spinner = html.Div("Loading…", className="loading", role="status")
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="screen"),
            dcc.Interval(id="watch", interval=_WATCH_MS, disabled=not watch),
            dcc.Store(id="change"),
            dcc.Store(id="shown"),
            html.A("Skip to the content", href="#content", className="skip"),
            html.Header(
                [
                    html.Div("dpprof", className="brand"),
                    html.Nav(id="nav", **{"aria-label": "Pages"}),
                    _search(),
                    html.Div(id="controls", className="controls"),
                ],
                className="top",
            ),
            html.Div(
                error_panel("the server does not answer; start dpprof dashboard again"),
                id="offline",
                role="alert",
                hidden=True,
            ),
            html.Div(id="problem", role="alert"),
            html.Div(id="notes", role="status"),
            dcc.Loading(
                html.Main(id="content", tabIndex=-1),
                custom_spinner=spinner,
                delay_show=400,
                overlay_style={"visibility": "visible", "opacity": 0.5},
                target_components={"content": "children"},
            ),
            _help(),
        ],
        id="app",
        className="app light",
    )


def _search() -> Component:
    """The search box: it leads to the timeline from every page."""
    from dash import html

    about = "a kernel, a slot (F0.3), a cause, a rank (rank 3), or longest dispatch"
    # Not dcc.Input: what is typed belongs to the browser until Enter.
    box = html.Div(id="find-box", **{"data-about": about})
    steps = [
        html.Button(
            text,
            id=f"find-{name}",
            className="icon",
            title=f"{name} match ({key})",
            **{"aria-label": f"{name} match"},
        )
        for name, text, key in (
            ("previous", "\N{UPWARDS ARROW}", "Shift+Enter"),
            ("next", "\N{DOWNWARDS ARROW}", "Enter"),
        )
    ]
    count = html.Span(id="find-count", className="about", role="status")
    return html.Div([box, count, html.Span(steps, className="buttons")], id="find", role="search")


def navigation(context: Context) -> list[Component]:
    """Links to all pages, which keep the runs and the baseline."""
    from dash import dcc, html

    links: list[Component] = []
    for page in all_pages():
        here = page.key == context.view.page
        link = dcc.Link(
            page.title,
            href=context.link(page=page.key, options={}, select=None, area=None, find="")
            if not here
            else context.link(),
            className="page here" if here else "page",
            title=page.about,
            id={"type": "nav", "page": page.key},
        )
        links.append(html.Span(link, **{"aria-current": "page"} if here else {}))
    return links


def controls(context: Context) -> list[Component]:
    """The runs with where they come from, and the pickers of runs, baseline, step and theme."""
    from dash import html

    return [
        html.Div([badge(run) for run in context.runs], className="badges"),
        *_run_pickers(context),
        _step_picker(context),
        html.Button(
            "◐",
            id="theme-button",
            className="icon",
            title="light or dark",
            **{"aria-label": "Switch between light and dark", "data-theme": _other(context)},
        ),
        html.Button(
            "?", id="help-button", className="icon", title="keys", **{"aria-label": "Help"}
        ),
    ]


def _run_pickers(context: Context) -> list[Component]:
    library, view = context.library, context.view
    with_ideal = [id + IDEAL for id in library.ids if library.get(id).report.ideal is not None]
    names = [(id, id) for id in library.ids] + [(id, run_name(id)) for id in with_ideal]
    if len(names) < 2:
        return []
    return [
        picker("runs", "Runs", names, list(view.runs or library.ids), multi=True),
        picker("baseline", "Baseline", names, view.baseline or library.baseline or None),
    ]


def _step_picker(context: Context) -> Component:
    from dash import html

    steps = [one.step for one in context.runs[0].report.per_step]
    if len(steps) < 2:
        return html.Span()
    return picker("step", "Step", steps, view_step(context.view.step, steps))


def _other(context: Context) -> str:
    return THEMES[1] if context.theme.name == THEMES[0] else THEMES[0]


def missing_evidence(context: Context) -> list[Component]:
    """What of the shown runs' figures is not carried, in a line a run."""
    from dash import dcc

    shown = []
    for run in context.runs:
        words = texts(one for one in run.report.evidence if one.touches)
        if words:
            more = f" and {len(words) - 1} more" if words[1:] else ""
            href = context.link(page="overview", options={}, select=None, area=None, find="")
            link = dcc.Link(f"What is missing{more}: Overview", href=href)
            shown.append(evidence_note(f"{words[0]}. ", link))
    return shown


def notes(problems: Sequence[str]) -> list[Component]:
    """What of the URL was not understood."""
    from dash import html

    return [html.Div(text, className="note warning") for text in problems]


def _help() -> Component:
    from dash import html

    rows = [html.Tr([html.Td(html.Kbd(keys)), html.Td(text)]) for keys, text in KEYS]
    return html.Div(
        html.Div(
            [
                html.H2("Keys", id="help-title"),
                html.Table(html.Tbody(rows)),
                html.P("Every view has an address of its own: copy it to come back to this one."),
                html.Button("Close", id="help-close", className="button"),
            ],
            className="panel",
        ),
        id="help",
        className="overlay",
        hidden=True,
        role="dialog",
        **{"aria-labelledby": "help-title", "aria-modal": "true"},
    )
