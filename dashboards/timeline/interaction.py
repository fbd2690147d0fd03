"""What clicks and keys on the picture do to the view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dpprof.dashboards.timeline.area import area_at
from dpprof.dashboards.timeline.arrows import row_of
from dpprof.dashboards.timeline.find import matches
from dpprof.dashboards.timeline.hit_test import Hit, hit_at, hit_of, longest_bubble, neighbour
from dpprof.dashboards.timeline.panel import around, pointed
from dpprof.dashboards.timeline.scene import Scene
from dpprof.dashboards.timeline.view import pinned_of
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.ranges import ranges_text

Changes = dict[str, Any]


def act(context: Context, scene: Scene, what: Mapping[str, Any]) -> Changes | None:
    """The fields of the URL that an action changes; None for none.

    `what` has an `act`: ``click`` (at `x`, `y`) selects what is there, ``next`` goes on by `by`
    from what is selected (from nothing: to the longest bubble), ``row`` to the row above or below,
    ``find`` to the next that `text` names; ``area`` asks about a box, ``pin`` pins the rank at `y`,
    ``fit`` zooms to what is selected or asked about.
    """
    hit = hit_of(context.library, scene, context.view.select)
    by = 1 if what.get("by") == 1 else -1
    match what.get("act"):
        case "click":
            return _selecting(pointed(context, scene, what)) | {"area": ""}
        case "next":
            return _next(context, scene, hit, by)
        case "row":
            return _row(context, scene, hit, by)
        case "find":
            return _find(context, scene, str(what.get("text") or "")[:_LONGEST_FIND], by)
        case "area":
            area = area_at(scene, what)
            return None if area is None else {"area": str(area), "select": ""}
        case "pin":
            return _pin(context, scene, what.get("y"))
        case "fit" if hit is not None:
            return {"t": _text(*around(hit.start_ns, hit.end_ns))}
        case "fit" if context.view.area is not None:
            return {"t": _text(context.view.area.start_ns, context.view.area.end_ns)}
    return None


_LONGEST_FIND = 200


def _next(context: Context, scene: Scene, hit: Hit | None, by: int) -> Changes | None:
    library = context.library
    new = longest_bubble(library, scene) if hit is None else neighbour(library, hit, by)
    return None if new is None else _selecting(new) | _into_view(scene, new)


def _row(context: Context, scene: Scene, hit: Hit | None, by: int) -> Changes | None:
    """What is nearest in the row above or beneath; with nothing selected, in the first row."""
    rows = scene.rows.rows
    own = None if hit is None else row_of(scene, hit)
    place = rows.index(own) + by if own is not None else 0
    at_ns = (scene.start_ns + scene.end_ns) // 2
    if hit is not None:
        at_ns = (max(hit.start_ns, scene.start_ns) + min(hit.end_ns, scene.end_ns)) // 2
    while 0 <= place < len(rows):
        new = hit_at(context.library, scene, at_ns, rows[place].middle, scene.whole_ns)
        if new is not None and row_of(scene, new) is rows[place]:
            return _selecting(new) | _into_view(scene, new)
        place += by
    return None


def _find(context: Context, scene: Scene, text: str, by: int) -> Changes:
    """The next match after what is selected, else after where the picture begins."""
    found = matches(context.library, scene, text)
    if not len(found):
        return {"find": text}
    place = found.place(context.library, scene, context.view.select)
    if place >= 0:
        place += by
    else:
        place = int(np.searchsorted(found.starts, scene.start_ns)) - (0 if by > 0 else 1)
    selection = found.selection(context.library, scene, place % len(found))
    hit = hit_of(context.library, scene, selection)
    moved = {} if hit is None else _into_view(scene, hit)
    return {"find": text, "select": str(selection)} | moved


def _pin(context: Context, scene: Scene, y: Any) -> Changes | None:
    """Pins the rank of a row above the others, or lets go of it."""
    row = scene.rows.at(float(y)) if isinstance(y, int | float) else None
    if row is None:
        return None
    return {"o.pin": ranges_text(sorted({*pinned_of(context)} ^ {row.rank}))}


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
