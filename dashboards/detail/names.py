"""What a piece of a lane can be, as small numbers: the codes that pictures are painted from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpprof.dashboards.view.theme import COMPONENT_COLORS, OPERATION_COLORS
from dpprof.tables.kinds import BUBBLE_STATES, KINDS

NOTHING = ""
WAIT = "wait"
UNKNOWN = "not known"
PAIR = "F&B"
UNLISTED = "bubble.unlisted"
"""A bubble that is too short for the table of regions of a run that has very many."""

NAMES: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            NOTHING,
            *OPERATION_COLORS,
            *KINDS,
            *(name for name in COMPONENT_COLORS if name not in KINDS),
            WAIT,
            *BUBBLE_STATES,
            UNLISTED,
            UNKNOWN,
        )
    )
)
"""Code -> name; code 0 is where there is nothing."""

CODES = {name: code for code, name in enumerate(NAMES)}

Codes = npt.NDArray[np.uint8]


def codes_of(texts: Sequence[str] | npt.NDArray[np.object_]) -> Codes:
    """The code of each text; that of `UNKNOWN` for a text which is no name, nor empty."""
    unknown = CODES[UNKNOWN]
    return np.array([CODES.get(str(text), unknown) for text in texts], dtype=np.uint8)
