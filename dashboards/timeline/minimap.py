"""The whole step as a small picture, with a line or two of pixels for each rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dpprof.dashboards.detail.index import COMPUTE_LANE, SLOTS
from dpprof.dashboards.figures.png import data_url, png
from dpprof.dashboards.timeline.picture_model import Drawn, PictureLook
from dpprof.dashboards.timeline.picture_pixels import Strip, paint, palette
from dpprof.dashboards.timeline.picture_rows import PictureRow
from dpprof.dashboards.timeline.scene import LEAST_NS, Scene

HEIGHT_PX = 40
"""About how high it is; ranks beyond one for each line are left out."""

_MOST_PX = 8  # a rank


def minimap(scene: Scene, look: PictureLook) -> str:
    """The picture as the address of an image, as wide as the scene: what ranks compute, when."""
    whole = replace(scene, start_ns=0, end_ns=max(scene.whole_ns, LEAST_NS))
    chosen = [(run, row) for run in whole.drawn() for row in _main_rows(run)]
    chosen = chosen[:: 1 + max(0, len(chosen) - 1) // HEIGHT_PX]
    height = min(_MOST_PX, HEIGHT_PX // max(1, len(chosen)))
    strips = [
        _strip(run, row, number * height, height, look.coloring)
        for number, (run, row) in enumerate(chosen)
    ]
    width = max((len(strip.pieces) for strip in strips), default=1)
    picture = paint((max(1, height * len(chosen)), width), strips)
    return data_url(png(picture, palette(look.theme)))


def _main_rows(run: Drawn) -> list[PictureRow]:
    """Of each rank the row of its slots, else of what it computes, else the first."""
    by_rank: dict[int, list[PictureRow]] = {}
    for row in run.rows:
        by_rank.setdefault(row.rank, []).append(row)
    order = (SLOTS, COMPUTE_LANE)
    return [
        min(rows, key=lambda row: order.index(row.name) if row.name in order else len(order))
        for rows in by_rank.values()
    ]


def _strip(run: Drawn, row: PictureRow, top: int, height: int, coloring: str) -> Strip:
    columns = run.index.columns(np.array([row.lane]), run.pixels)
    pieces = columns.pieces[0]
    codes = np.append(run.index.codes[coloring], np.uint8(0))[pieces]
    return Strip(top, top + height, pieces, codes, columns.share[0])
