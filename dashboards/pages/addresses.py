"""From the address of a view to what its page is given to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Known, parse
from dpprof.dashboards.view.theme import theme_named

_SCREEN = {"width": 1280, "dark": False}
"""What is taken for the browser's window before it has said how large it is."""


def known_of(library: Library) -> Known:
    """What URLs of this dashboard may name."""
    return Known({page.key: page.options for page in all_pages()}, library.all_ids)


def context_of(
    library: Library, path: str | None, search: str | None, screen: Mapping[str, Any] | None
) -> tuple[Context, list[str]]:
    """What a URL shows in a browser's window, and what of the URL is not understood."""
    view, problems = parse(path or "", search or "", known_of(library))
    dark = bool((screen or _SCREEN).get("dark"))
    theme = theme_named(view.theme or ("dark" if dark else "light"))
    return Context(library, view, theme), problems
