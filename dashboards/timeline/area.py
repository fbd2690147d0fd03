"""The area that is asked about: rows and a span of the picture, and its place in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dpprof.dashboards.timeline.picture_model import Frame
from dpprof.dashboards.timeline.scene import Scene
from dpprof.dashboards.view.state import Area


def area_at(scene: Scene, what: Mapping[str, Any]) -> Area | None:
    """What is inside a dragged box: all ranks with a row in it; None where it holds none.

    `what` has the corners: `x` and `x2`, nanoseconds of the step, `y` and `y2`, pixels.
    """
    corners = [what.get(name) for name in ("x", "x2", "y", "y2")]
    if not all(isinstance(one, int | float) for one in corners):
        return None
    x, x2, y, y2 = (float(one) for one in corners if one is not None)
    start, end = max(0, int(min(x, x2))), min(scene.whole_ns, int(max(x, x2)))
    top, bottom = min(y, y2), max(y, y2)
    rows = [row for row in scene.rows.rows if row.top < bottom and row.bottom > top]
    if not rows or start >= end:
        return None
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row.run, []).append(row.rank)
    found = tuple((run, tuple(sorted(set(numbers)))) for run, numbers in ranks.items())
    return Area(start, end, found)


def frames_of(scene: Scene, area: Area | None) -> list[Frame]:
    """Where the picture shows an area: a frame around each block of rows of its ranks."""
    if area is None:
        return []
    chosen = dict(area.ranks)
    frames: list[Frame] = []
    before = ""  # the run of the rank above, where that is in the area
    for run, rank, top, bottom in scene.rows.ranks():
        inside = rank in chosen.get(run, ())
        if inside and before == run:
            frames[-1] = replace(frames[-1], bottom=bottom)
        elif inside:
            frames.append(Frame(area.start_ns, area.end_ns, top, bottom))
        before = run if inside else ""
    return frames
