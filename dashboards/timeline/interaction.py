"""What clicks and keys on the picture do to the view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpprof.dashboards.timeline.hit_test import Hit, hit_of, longest_bubble, neighbour
from dpprof.dashboards.timeline.panel import around, pointed
from dpprof.dashboards.timeline.scene import Scene
from dpprof.dashboards.view.page import Context

Changes = dict[str, Any]


def act(context: Context, scene: Scene, what: Mapping[str, Any]) -> Changes | None:
    """The fields of the URL that an action changes; None for none.

    `what` has an `act`: ``click`` (at `x`, `y`) selects what is there, ``next`` goes on by `by`
    from what is selected (from nothing: to the longest bubble), ``fit`` zooms to it.
    """
    hit = hit_of(context.library, scene, context.view.select)
    match what.get("act"):
        case "click":
            return _selecting(pointed(context, scene, what))
        case "next":
            by = 1 if what.get("by") == 1 else -1
            new = (
                longest_bubble(context.library, scene)
                if hit is None
                else neighbour(context.library, hit, by)
            )
            return None if new is None else _selecting(new) | _into_view(scene, new)
        case "fit" if hit is not None:
            return {"t": _text(*around(hit.start_ns, hit.end_ns))}
    return None


def _selecting(hit: Hit | None) -> Changes:
    return {"select": "" if hit is None else str(hit.selection)}


def _into_view(scene: Scene, hit: Hit) -> Changes:
    """Pans, by as little as it takes, to where a hit is seen; leaves the zoom as it is."""
    span = scene.end_ns - scene.start_ns
    middle = (hit.start_ns + hit.end_ns) // 2
    if hit.end_ns > scene.start_ns and hit.start_ns < scene.end_ns:
        return {}
    start = max(0, min(middle - span // 2, scene.whole_ns - span))
    return {"t": _text(start, start + span)}


def _text(start_ns: int, end_ns: int) -> str:
    return f"{start_ns}-{end_ns}"
