"""A zoom into a figure in the browser that becomes the time range of the view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.library import Library

if TYPE_CHECKING:
    from dash import Dash


def zoom_id(page: str, name: str) -> dict[str, str]:
    """The id of a graph of a page whose zooms are heard by the callback of `zoom_callback`.

    The meta of its figure says how many ``nanoseconds`` one unit of its time axis has, and the
    ``window_ns`` that it is a part of.
    """
    return {"type": f"{page}-zoom", "name": name}


def zoom_callback(page: str) -> Callable[[Dash, Library], None]:
    """What registers the callback for a page's graphs: it draws the range that was zoomed to."""

    def register(app: Dash, library: Library) -> None:
        from dash import ALL, Input, Output, State, ctx, no_update

        del library

        @app.callback(
            Output("change", "data", allow_duplicate=True),
            Input(zoom_id(page, ALL), "relayoutData"),
            State(zoom_id(page, ALL), "figure"),
            State("change", "data"),
            prevent_initial_call=True,
        )
        def zoom(relayouts: list[Any], figures: list[Any], last: dict[str, Any] | None) -> Any:
            names = [one["id"] for one in ctx.inputs_list[0]]
            if ctx.triggered_id not in names:
                return no_update
            number = names.index(ctx.triggered_id)
            meta = (figures[number] or {}).get("layout", {}).get("meta")
            span = zoomed(relayouts[number], meta) if meta else None
            if span is None:
                return no_update
            return {"time_range": span, "count": (last or {}).get("count", 0) + 1}

    return register


def zoomed(relayout: dict[str, Any] | None, meta: dict[str, Any]) -> str | None:
    """What the view's time range becomes after a zoom, None where nothing was zoomed."""
    if not relayout:
        return None
    if relayout.get("xaxis.autorange"):
        return ""
    edges = [relayout.get(f"xaxis.range[{edge}]") for edge in (0, 1)]
    if None in edges:
        return None
    begin, end = (round(float(edge) * meta["nanoseconds"]) for edge in edges if edge is not None)
    begin, end = max(0, begin), min(meta["window_ns"], end)
    return f"{begin}-{end}" if end > begin else None
