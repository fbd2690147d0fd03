"""The Dash app: the shell around the pages, and the way from the URL to what is shown."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.app.answers import offer_answers
from dpprof.dashboards.app.callback_bodies import check_callbacks
from dpprof.dashboards.app.downloads import offer_downloads
from dpprof.dashboards.app.shell import controls, empty_shell, missing_evidence, navigation, notes
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.pages.addresses import context_of, known_of
from dpprof.dashboards.parts.badge import run_name
from dpprof.dashboards.parts.panel import error_panel
from dpprof.dashboards.view.changes import changed
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.state import ViewState, parse
from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from dash import Dash

_ASSETS = Path(__file__).parents[1] / "assets"
_INDEX = (_ASSETS.parent / "app" / "index.html").read_text(encoding="utf-8")
_MOST_IN_TITLE = 2


def make_app(library: Library) -> Dash:
    """The app over the runs of a library; nothing it serves comes from elsewhere."""
    from dash import Dash
    from flask_compress import Compress

    app = Dash(
        __name__,
        title="dpprof",
        index_string=_INDEX,
        update_title="",
        assets_folder=str(_ASSETS),
        serve_locally=True,
        suppress_callback_exceptions=True,
        on_error=_report_error,
    )
    Compress(app.server)
    app.layout = empty_shell(watch=library.watched)
    _register_show(app, library)
    _register_change(app, library)
    _register_news(app, library)
    offer_downloads(app.server, library)
    offer_answers(app.server, library, lambda: known_of(library))
    for page in all_pages():
        if page.callbacks is not None:
            page.callbacks(app, library)
    check_callbacks(app)
    return app


def _register_show(app: Dash, library: Library) -> None:
    """Shows what the URL says."""
    from dash import Input, Output, State, no_update

    pages = {page.key: page for page in all_pages()}

    @app.callback(
        Output("nav", "children"),
        Output("controls", "children"),
        Output("notes", "children"),
        Output("content", "children"),
        Output("app", "className"),
        Output("shown", "data"),
        Output("problem", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("screen", "data"),
        State("shown", "data"),
    )
    def show(path: str, search: str, screen: dict[str, Any] | None, shown: str | None) -> Any:
        if screen is None:
            return (no_update,) * 7
        context, problems = context_of(library, path, search, screen)
        page = pages[context.view.page]
        key = _static_key(context, page)
        drawn = (no_update, no_update) if key == shown else _drawn(page, context)
        problems += _unknown_step(context)
        name = f"app {context.theme.name}"
        return (navigation(context), drawn[0], notes(problems), drawn[1], name, key, [])


def _register_news(app: Dash, library: Library) -> None:
    """Draws the page anew when a run has come that is watched for."""
    from dash import Input, Output, State, no_update

    @app.callback(
        Output("screen", "data"),
        Input("watch", "n_intervals"),
        State("screen", "data"),
        prevent_initial_call=True,
    )
    def news(ticks: int, screen: dict[str, Any] | None) -> Any:
        del ticks
        known = len(library.ids)
        if screen is None or screen.get("runs", known) == known:
            return no_update if screen is None or "runs" in screen else screen | {"runs": known}
        return screen | {"runs": known}


def _register_change(app: Dash, library: Library) -> None:
    """Puts what controls and keys ask for into the URL."""
    from dash import ALL, Input, Output, State, ctx, no_update

    @app.callback(
        Output("url", "pathname"),
        Output("url", "search"),
        Output("notes", "children", allow_duplicate=True),
        Input({"type": "view", "field": ALL, "was": ALL}, "value"),
        Input("change", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def change(values: Any, data: dict[str, Any] | None, path: str, search: str) -> Any:
        del values, data
        known = known_of(library)
        view, _ = parse(path or "", search or "", known)
        new, problems = changed(view, ctx.triggered, known)
        if new == view:
            return no_update, no_update, notes(problems) if problems else no_update
        query = new.search()
        return f"/{new.page}", f"?{query}" if query else "", no_update


def _static_key(context: Context, page: Page) -> str:
    """The view without what the page's own callbacks see to: what its content depends on."""
    default = ViewState()
    live = {name: getattr(default, name) for name in page.live}
    return f"{context.theme.name} {len(context.library.ids)} {context.view.url(**live)}"


def _unknown_step(context: Context) -> list[str]:
    """What is said of a step that none of the runs has."""
    step = context.view.step
    try:
        known = {one.step for run in context.runs for one in run.report.per_step}
    except DpprofError:
        return []  # the page says it
    missing = step is not None and step not in known
    return [f"step {step} is not in these runs; the first one is shown"] if missing else []


def _drawn(page: Page, context: Context) -> tuple[Any, Any]:
    """The pickers and the content of a page, or what is wrong in its place."""
    try:
        content = page.layout(context)
        evidence = [] if page.tells_evidence else missing_evidence(context)
        return controls(context), [_heading(context, page), *evidence, *_listed(content)]
    except Exception as error:  # noqa: BLE001  a bug in one page leaves the others standing
        return [], error_panel(_reported(error))


def _heading(context: Context, page: Page) -> Any:
    """The page's name, for who does not see it in the navigation, and for the window's title."""
    from dash import html

    runs = " beside ".join(run_name(run.id) for run in context.runs[:_MOST_IN_TITLE])
    title = {"data-title": f"{page.title}: {runs} - dpprof"}
    return html.H1(page.title, className="unseen", **title)


def _listed(content: Any) -> list[Any]:
    return list(content) if isinstance(content, list | tuple) else [content]


def _report_error(error: Exception) -> None:
    """Say on the page, and in full on stderr, that a callback failed."""
    from dash import set_props

    set_props("problem", {"children": error_panel(_reported(error))})


def _reported(error: Exception) -> str:
    """What a page says of an error; what is a bug of ours stands on stderr in full."""
    if isinstance(error, DpprofError):
        return str(error)
    traceback.print_exception(error, file=sys.stderr)
    return f"bug in dpprof: {type(error).__name__}: {error}; the terminal has the details"
