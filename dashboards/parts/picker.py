"""A choice of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.view.changes import control_id

if TYPE_CHECKING:
    from dash.development.base_component import Component


def picker(
    field: str, label: str, values: Sequence[Any], value: Any, *, multi: bool = False
) -> Component:
    """A labelled dropdown that sets a field of the view (or, ``o.<name>``, an option of the page).

    `values` are the options, or pairs of an option and its label.
    """
    from dash import dcc, html

    pairs = [one if isinstance(one, tuple) else (one, str(one)) for one in values]
    dropdown = dcc.Dropdown(
        id=control_id(field, value),
        options=[{"value": one, "label": text} for one, text in pairs],
        value=value,
        multi=multi,
        clearable=False,
        searchable=len(pairs) > 12,
        className=f"picker {field}",
    )
    return html.Label([html.Span(label, className="label"), dropdown], className="field")
