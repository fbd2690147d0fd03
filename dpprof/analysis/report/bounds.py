"""Which figures are bounds of the true ones, where part of the communication is not split.

What was not matched counts as transfer, and may have been waiting: transfers are then at most what
is shown, bubbles and waiting at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from dpprof.analysis.figures import Bound, KindFigures, TimeFigures
from dpprof.tables.kinds import BUBBLE_STATES, EXPOSED_STATES, OVERLAP

_OF_KIND: dict[str, Bound] = {
    "total_ns": "at_most",
    "hidden_ns": "at_most",
    "exposed_ns": "at_most",
    "wait_ns": "at_least",
}
_OF_TIME: dict[str, Bound] = {
    "communication_ns": "at_most",
    "hidden_ns": "at_most",
    "exposed_ns": "at_most",
    "wait_ns": "at_least",
    "bubble_ns": "at_least",
    "bubble_share": "at_least",
}
_OF_STATES: dict[str, Bound] = {
    OVERLAP: "at_most",
    **dict.fromkeys(EXPOSED_STATES, "at_most"),
    **dict.fromkeys(BUBBLE_STATES, "at_least"),
}

_Figures = TypeVar("_Figures", bound=TimeFigures)


def with_bounds(figures: _Figures) -> _Figures:
    """The figures, with what those that are known in part are bounds of.

    Where nothing was split at all, no waiting is claimed, and there is no part that is known.
    """
    if not figures.unsplit_ns or figures.wait_ns is None:
        return figures
    kinds = {kind: _kind_with_bounds(one) for kind, one in figures.by_kind.items()}
    values = {name: getattr(figures, name) for name in _OF_TIME} | figures.states_ns
    return replace(figures, by_kind=kinds, bounds=_known(_OF_TIME | _OF_STATES, values))


def _known(bounds: dict[str, Bound], values: Mapping[str, float | None]) -> dict[str, Bound]:
    """Of these bounds those that leave something open: at most nothing is nothing."""
    return {
        name: bound
        for name, bound in bounds.items()
        if values[name] is not None and (values[name] or bound == "at_least")
    }


def _kind_with_bounds(figures: KindFigures) -> KindFigures:
    if not figures.unsplit_ns or figures.wait_ns is None:
        return figures
    values = {name: getattr(figures, name) for name in _OF_KIND}
    return replace(figures, bounds=_known(_OF_KIND, values))
