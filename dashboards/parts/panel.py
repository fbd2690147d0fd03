"""Panels, notes and empty states: the frames of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpprof.analysis.figures import TimeFigures
from dpprof.reporters.blocks.bounds import BOUNDS, is_partial

if TYPE_CHECKING:
    from dash.development.base_component import Component

Content = Any  # a text, a component, or a sequence of both: what Dash takes as children


def panel(title: str, *content: Content, id: str, about: str = "") -> Component:
    """A titled section of a page; `about` says in a sentence what it shows."""
    from dash import html

    heading = [html.H2(title), html.Span(about, className="about")] if about else [html.H2(title)]
    return html.Section(
        [html.Div(heading, className="heading"), *content],
        className="panel",
        **{"data-testid": id, "aria-label": title},
    )


def note(text: str, *, warning: bool = False) -> Component:
    """A remark on what is shown."""
    from dash import html

    return html.P(text, className="note warning" if warning else "note")


def bound_notes(figures: TimeFigures) -> list[Component]:
    """What the signs before figures mean, where any is known in part."""
    return [note(BOUNDS)] if is_partial(figures) else []


def evidence_notes(texts: Sequence[str]) -> list[Component]:
    """What the evidence does not carry, all of it, first."""
    return [evidence_note(text) for text in texts]


def evidence_note(*words: Content) -> Component:
    """One thing that is amiss in the evidence."""
    from dash import html

    return html.P(list(words), className="note evidence", role="alert")


def notes(texts: Sequence[str], *, most: int = 6) -> list[Component]:
    """Warnings, each once; of many the first ones, and how many more there are."""
    several = list(dict.fromkeys(texts))
    shown = [note(text, warning=True) for text in several[:most]]
    left = len(several) - most
    return [*shown, note(f"... and {left} more warnings")] if left > 0 else shown


def empty(text: str) -> Component:
    """What stands where there is nothing to show: why, and what to do about it."""
    from dash import html

    return html.Div(text, className="empty", **{"data-testid": "empty"})


def columns(*content: Content) -> Component:
    """Side by side where the window is wide enough, else one below the other."""
    from dash import html

    return html.Div(list(content), className="columns")


def tables(*content: Content) -> Component:
    """Tables beside each other as far as all of each has room."""
    from dash import html

    return html.Div(list(content), className="tables")


def error_panel(words: str) -> Component:
    """An error, in words."""
    from dash import html

    return html.Div([html.B("Error: "), words], className="panel error")
