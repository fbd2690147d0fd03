"""What the colours and patterns of a picture mean: those that are in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dpprof.dashboards.detail.names import CODES, NAMES, UNKNOWN, UNLISTED, WAIT
from dpprof.dashboards.figures.png import data_url, png
from dpprof.dashboards.timeline.picture_pixels import Strip, paint, palette
from dpprof.dashboards.view.theme import Theme, theme_named
from dpprof.dashboards.view.words import CAUSE_ABOUT, state_word
from dpprof.tables.kinds import BUBBLE_STATES

if TYPE_CHECKING:
    from dash.development.base_component import Component

SWATCH_PX = (28, 14)

WORDS = {
    "F": "forward",
    "B": "backward",
    "I": "input gradient",
    "W": "weight gradient",
    "F&B": "overlapped pair",
    WAIT: "waiting for peers",
    UNKNOWN: "other",
    **{state: state_word(state) for state in BUBBLE_STATES},
    UNLISTED: "bubble: not listed",
}
_ABOUT = {
    **CAUSE_ABOUT,
    WAIT: "posted, and waiting until the last peer has started: not yet a transfer",
    UNLISTED: "idle, too short for the list of bubbles of a run that has very many",
}


def names_in(painted: Sequence[Strip]) -> list[str]:
    """What is painted, in the order of the codes."""
    counts = np.zeros(len(NAMES), dtype=np.int64)
    for strip in painted:
        counts += np.bincount(strip.codes[strip.pieces >= 0], minlength=len(NAMES))
    return [NAMES[code] for code in np.flatnonzero(counts) if code]


def legend(names: Sequence[str], theme: Theme) -> list[Component]:
    """A swatch, painted as in the picture, and a word for each name."""
    from dash import html

    return [
        html.Span(
            [
                html.Img(src=swatch(name, theme.name), alt="", width=SWATCH_PX[0]),
                WORDS.get(name, name),
            ],
            className="swatch bubble" if name in BUBBLE_STATES else "swatch",
            title=_ABOUT.get(name, ""),
            **{"data-name": name},
        )
        for name in names
    ]


@cache
def swatch(name: str, theme: str) -> str:
    """A little picture of what has that name."""
    width, height = SWATCH_PX
    whole = np.full(width, CODES[name], dtype=np.uint8)
    strip = Strip(0, height, np.zeros(width, np.int64), whole, np.ones(width))
    return data_url(png(paint((height, width), [strip]), palette(theme_named(theme))))
