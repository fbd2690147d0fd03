"""Pages as plain HTML: the same components, without the app that serves them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

CONTENT = "whole_content"
"""Attribute of a component that stands for another one, which is what documents have instead."""

_HTML, _CORE = "dash_html_components", "dash_core_components"
_EMPTY_TAGS = frozenset({"br", "hr", "img", "wbr"})
_CONTROLS = frozenset({"button", "form", "input", "select", "textarea"})
_CONTROL_CLASSES = frozenset({"bar-of-choices", "buttons", "field", "pager", "tools"})
"""What does nothing without an app behind it is left out, and what only holds such things."""

_ATTRIBUTES = {
    "className": "class",
    "colSpan": "colspan",
    "rowSpan": "rowspan",
    "tabIndex": "tabindex",
    **{
        name: name
        for name in ("alt", "hidden", "lang", "open", "role", "scope", "start", "title", "width")
    },
}
_NAMED = re.compile(r"(?:aria|data)-[a-z-]+")
_PICTURE = re.compile(r"data:image/(?:png|svg\+xml)[;,]")


@dataclass
class Markup:
    """Turns components into HTML; collects the figures that a script has to draw.

    `place_of` says where a link leads in this document (``#memory``), None where it leads nowhere
    in it: such links become text, but those that look like buttons go. Texts and names come from
    traces and are escaped.
    """

    place_of: Callable[[str], str | None]
    figures: list[str] = field(default_factory=list)

    def html(self, node: Any) -> str:
        """The HTML of a component, a text, or a list of both."""
        if node is None or isinstance(node, bool):
            return ""
        if isinstance(node, list | tuple):
            return "".join(map(self.html, node))
        if isinstance(node, str | int | float):
            return escape(str(node))
        whole = getattr(node, CONTENT, None)
        if whole is not None:
            return self.html(whole)
        if node._namespace == _HTML:
            return self._element(node)
        return self._core(node) if node._namespace == _CORE else ""

    def _element(self, node: Any) -> str:
        tag = node._type.lower()
        classes = set((getattr(node, "className", None) or "").split())
        if tag in _CONTROLS or classes & _CONTROL_CLASSES:
            return ""
        attributes = "".join(_attributes(node))
        if tag in _EMPTY_TAGS:
            return f"<{tag}{attributes}>"
        return f"<{tag}{attributes}>{self.html(getattr(node, 'children', None))}</{tag}>"

    def _core(self, node: Any) -> str:
        if node._type == "Graph":
            return self._graph(node)
        inside = self.html(getattr(node, "children", None))
        if node._type != "Link":
            return inside
        place = self.place_of(node.href)
        if place is None:
            return "" if getattr(node, "className", "") == "button" else inside
        return f'<a href="{escape(place)}">{inside}</a>'

    def _graph(self, node: Any) -> str:
        """The place of a figure, as high as it will be; its data goes to `figures`.

        A graph that only an app would fill is left out.
        """
        from plotly.io import to_json

        figure = getattr(node, "figure", None)
        if figure is None:
            return ""
        height, width = figure.layout.height or 360, figure.layout.width
        self.figures.append(to_json(figure))
        size = f"height:{height:.0f}px" + (f";width:{width:.0f}px" if width else "")
        return f'<div class="plot" id="plot-{len(self.figures) - 1}" style="{size}"></div>'


def _attributes(node: Any) -> list[str]:
    properties = node.to_plotly_json()["props"]
    found = []
    for name, value in sorted(properties.items()):
        attribute = _ATTRIBUTES.get(name) or (name if _NAMED.fullmatch(name) else "")
        if name == "style":
            attribute, value = "style", _style(value)
        elif name == "src" and _PICTURE.match(str(value)):
            attribute = "src"
        if attribute and value is not None and value is not False:
            found.append(f' {attribute}="{escape(str(value))}"')
    return found


def _style(style: dict[str, Any]) -> str:
    """``{"marginTop": "4px"}`` as CSS."""
    return ";".join(
        f"{re.sub('[A-Z]', lambda one: '-' + one[0].lower(), name)}:{value}"
        for name, value in style.items()
    )
