"""Changes of the view that controls and keys ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from dpprof.dashboards.view.state import Known, ViewState, parse

_KEYS = {"time_range": "t"}


def changed(
    view: ViewState, triggered: Sequence[Mapping[str, Any]], known: Known
) -> tuple[ViewState, list[str]]:
    """The view after the changes of components, given as Dash's list of what triggered.

    Beside it, what of the changes was not understood, in words.

    A control with the id ``{"type": "view", "field": F, "was": V}`` sets field F (``o.<name>``: an
    option of the page) unless it still has the value V that it was drawn with, of which Dash tells
    too; the store ``change`` holds a mapping from fields to values. Values go the same way as those
    of a URL, so that none can do more than a URL could.
    """
    given = dict(parse_qsl(view.search(), keep_blank_values=True))
    page = view.page
    for one in triggered:
        for name, value in _fields(one):
            if name == "page":
                page = str(value)
            else:
                given[_KEYS.get(name, name)] = value_text(value)
    query = urlencode({key: text for key, text in given.items() if text})
    new, problems = parse(page, query, known)
    # Options belong to their page: another one begins with its own defaults.
    return (new, problems) if page == view.page else (replace(new, options={}), [])


def _fields(one: Mapping[str, Any]) -> list[tuple[str, Any]]:
    identity, _, what = str(one["prop_id"]).rpartition(".")
    if what == "data":
        return [(name, value) for name, value in (one["value"] or {}).items() if name != "count"]
    try:
        control = msgspec.json.decode(identity, type=_Control)
    except msgspec.DecodeError:
        return []
    return [(control.field, one["value"])] if value_text(one["value"]) != control.was else []


class _Control(msgspec.Struct):
    field: str
    was: str


def control_id(field: str, value: Any) -> dict[str, str]:
    """The id of a control that sets a field of the view and is drawn with a value."""
    return {"type": "view", "field": field, "was": value_text(value)}


def value_text(value: Any) -> str:
    """A control's value as a part of a URL."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
