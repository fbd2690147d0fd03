"""A run as one HTML file: every page of the dashboard, without a server, offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dpprof
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.parts.badge import badge
from dpprof.dashboards.parts.panel import error_panel
from dpprof.dashboards.view.html_markup import Markup
from dpprof.dashboards.view.page import Context, Page
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import GRAPH_CONFIG, theme_named
from dpprof.errors import DpprofError
from dpprof.export.place import check_place, whole_file
from dpprof.reporters.report.sentences import run_words, source_words

ENDINGS = (".html", ".htm")
_ASSETS = Path(__file__).parents[1] / "assets"
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'"
)
"""The file may run what is in it and fetch nothing."""

_DRAW = """
(function () {
  "use strict";
  var config = CONFIG;
  var sources = Array.from(document.querySelectorAll("script[data-plot]"));
  function next() {
    var source = sources.shift();
    if (!source) { document.documentElement.setAttribute("data-drawn", ""); return; }
    var figure = JSON.parse(source.textContent);
    Plotly.newPlot(source.getAttribute("data-plot"), figure.data, figure.layout, config)
      .then(function () { setTimeout(next, 0); });
  }
  next();
})();
"""


def check_report(path: Path, *, force: bool = False) -> None:
    """Raise `DpprofError` where `path` cannot take the report; asks before the long work starts."""
    if not path.name.endswith(ENDINGS):
        raise DpprofError(f"{path}: an html export is one file; end its name in .html")
    check_place(path, is_file=True, force=force)


def write_report(library: Library, path: Path, *, force: bool = False, theme: str = "light") -> str:
    """Write the pages of all runs of `library` to `path`; gives what to do next, in words.

    The file needs no server and no network. Raises `DpprofError` where `path` exists (but with
    `force`) or cannot be written.
    """
    check_report(path, force=force)
    text = report_html(library, theme)
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "replace"))
    return "open it in any browser"


def report_html(library: Library, theme: str = "light") -> str:
    """The document: a section per page, figures as data, the script that draws them."""
    from plotly.offline import get_plotlyjs

    contents = [(page, _content(page, _context(library, page, theme))) for page in all_pages()]
    shown = [(page, content) for page, content in contents if content]
    places = {page.key for page, _ in shown}
    markup = Markup(lambda href: _place(href, places))
    sections = [_section(page, content, markup) for page, content in shown]
    navigation = "".join(
        f'<a class="page" href="#{page.key}">{escape(page.title)}</a>' for page, _ in shown
    )
    title = f"dpprof: {' beside '.join(library.ids)}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{''.join(_styles())}</style></head>",
            f'<body><div class="app static {escape(theme)}">',
            f'<header class="top"><div class="brand">dpprof</div><nav>{navigation}</nav></header>',
            f'<main id="content">{_head(library, markup)}',
            *sections,
            f"</main><footer>{_foot()}</footer></div>",
            f"<script>{get_plotlyjs()}</script>",
            *_figures(markup),
            f"<script>{_draw()}</script>",
            *(f"<script>{_asset(name)}</script>" for name in ("tables.js", "print.js", "save.js")),
            "</body></html>",
        ]
    )


def _context(library: Library, page: Page, theme: str) -> Context:
    return Context(library, ViewState(page=page.key), theme_named(theme))


def _content(page: Page, context: Context) -> Any:
    """What the page shows; an error of it is shown in its place."""
    try:
        return (page.report or page.layout)(context)
    except DpprofError as error:
        return error_panel(str(error))


def _section(page: Page, content: Any, markup: Markup) -> str:
    about = f'<span class="about">{escape(page.about)}</span>'
    heading = f'<div class="heading"><h1>{escape(page.title)}</h1>{about}</div>'
    return f'<section class="chapter" id="{page.key}">{heading}{markup.html(content)}</section>'


def _head(library: Library, markup: Markup) -> str:
    from dash import html

    rows = [
        html.Div([badge(run), html.Span(f"{run_words(run.report)}; {source_words(run.report)}")])
        for run in map(library.get, library.ids)
    ]
    return markup.html(html.Div(rows, className="runs"))


def _foot() -> str:
    return (
        f"Made by dpprof {escape(dpprof.__version__)}. Other steps, single activities and what-if "
        "are in the dashboard: <code>dpprof dashboard RUN...</code>"
    )


def _place(href: str, pages: set[str]) -> str | None:
    """The section that an address leads to; None for a place within one, which is not here."""
    parts = urlsplit(href)
    key, query = parts.path.strip("/"), dict(parse_qsl(parts.query))
    within = query.keys() & {"select", "t", "step", "ranks"}
    return f"#{key}" if key in pages and not within else None


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _draw() -> str:
    return _DRAW.replace("CONFIG", json.dumps(dict(GRAPH_CONFIG)))


def _styles() -> Iterator[str]:
    for path in sorted(
        _ASSETS.glob("*.css"), key=lambda path: (path.name != "style.css", path.name)
    ):
        yield path.read_text(encoding="utf-8")


def _figures(markup: Markup) -> Iterator[str]:
    for number, figure in enumerate(markup.figures):
        data = figure.replace("<", "\\u003c")  # whatever a name holds, it ends no script
        yield f'<script type="application/json" data-plot="plot-{number}">{data}</script>'
