"""A choice among few values as links: it works with the keyboard and has an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.dashboards.view.page import Context

if TYPE_CHECKING:
    from dash.development.base_component import Component


def choices(
    context: Context,
    name: str,
    label: str,
    values: Sequence[tuple[str, str]],
    *resets: str,
    default: str = "",
) -> Component:
    """Links that set the page's option `name`; `values` are pairs of value and text.

    The default, the first value unless it is given, needs no place in the address. Options named
    in `resets` go back to their defaults with every change.
    """
    from dash import dcc, html

    default = default or values[0][0]
    chosen = context.option(name, default)
    links = [
        dcc.Link(
            text,
            href=option_link(context, name, "" if value == default else value, *resets),
            className="choice here" if value == chosen else "choice",
            id={"type": "choice", "option": name, "value": value},
        )
        for value, text in values
    ]
    return html.Div(
        [html.Span(label, className="label"), html.Div(links, className="choices")],
        className="field",
        role="group",
        **{"aria-label": label},
    )


def option_link(context: Context, name: str, value: str, *resets: str) -> str:
    """The address of this view with one of the page's options changed, and `resets` left out."""
    kept = {key: one for key, one in context.view.options.items() if key not in resets}
    return context.link(options=kept | {name: value})
