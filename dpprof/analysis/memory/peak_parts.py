"""What the bytes at a rank's memory peak are for, as far as the manifest or a snapshot says."""

from __future__ import annotations

from typing import NamedTuple

from dpprof.runs.manifest import RankPlace
from dpprof.tables.columns import (
    ACTIVATIONS,
    COMMUNICATION_BUFFERS,
    GRADIENTS,
    OPTIMIZER_STATE,
    PARAMETERS,
)


class Parts(NamedTuple):
    """Bytes at the peak by what they are for; None for what is not known, with the reasons."""

    parameters: int | None
    gradients: int | None
    optimizer: int | None
    activations: int | None
    communication: int | None
    rest: int | None
    reasons: list[str]


def parts_at_peak(allocated: int, measured: dict[str, int], place: RankPlace) -> Parts:
    """Take `allocated` bytes apart; `measured` is the row of the memory curve at the peak.

    What the manifest says of parameters, gradients and optimizer state is exact and comes first.
    Where nothing measured activations, they are what is left beside these: with communication
    buffers and temporaries, which then cannot be told apart. Else what is left is the rest.
    """
    static = (
        _known(place.parameter_bytes, measured[PARAMETERS]),
        _known(place.gradient_bytes, measured[GRADIENTS]),
        _known(place.optimizer_bytes, measured[OPTIMIZER_STATE]),
    )
    activations = _known(None, measured[ACTIVATIONS])
    communication = _known(None, measured[COMMUNICATION_BUFFERS])
    reasons: list[str] = []
    if activations is None:
        activations, reasons = _left_over(allocated, static)
        return Parts(*static, activations, communication, None, reasons)
    parts = (*static, activations, communication)
    missing = [name for name, part in zip(_NAMES, parts, strict=True) if part is None]
    if missing:
        reasons = [f"{', '.join(missing)}: counted with the rest, as nothing tells them apart"]
    rest = allocated - sum(part or 0 for part in parts)
    if rest < 0:
        reasons += ["rest: the parts are more than was allocated; snapshot or run.json is wrong"]
    return Parts(*parts, rest if rest >= 0 else None, reasons)


BUFFERS = "communication buffers"
TOGETHER = f"{BUFFERS}, rest: counted as activations; a memory snapshot tells them apart"

_NO_ACTIVATIONS = (
    "activations: there are no schedule slots with addresses of memory events to tell them by, and "
    "run.json does not say what parameters and optimizer take"
)
_NAMES = ("parameters", "gradients", "optimizer state", "activations", BUFFERS)


def _known(said: int | None, measured: int) -> int | None:
    if said is not None:
        return said
    return measured if measured >= 0 else None


def _left_over(allocated: int, static: tuple[int | None, ...]) -> tuple[int | None, list[str]]:
    known = [part for part in static if part is not None]
    if len(known) < len(static):
        return None, [_NO_ACTIVATIONS]
    if sum(known) > allocated:
        return None, ["activations: the memory curve leaves out what was allocated before it began"]
    return allocated - sum(known), [TOGETHER]
