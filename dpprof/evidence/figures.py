"""Which evidence touches which figure, by the names that gate rules and reports have for them."""

from __future__ import annotations

from collections.abc import Iterable

from dpprof.evidence.evidence import STEP_TIME, Evidence
from dpprof.tables.devices import rank_of
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS, STATES

_OF_STEP = ("slowest_step_ns", "fastest_step_ns", "tokens_per_second", "model_flops_per_second")
_SHARE_OF = "_share"
_WINDOW = frozenset(STEP_TIME)
_BY_WINDOW = frozenset((*STEP_TIME, "bubble_ns", "bubble_share", *BUBBLE_STATES))


def touching(evidence: Iterable[Evidence], figure: str, rank: int | None = None) -> list[Evidence]:
    """The evidence that `figure` of a rank lacks; of the job (`rank` None), that of any rank.

    `figure` is named as in gate rules (`dpprof.gate.names`) or as in the report's JSON. A step's
    window is the job's: what any rank lacks of it, the idle time of all ranks lacks.
    """
    names = names_of(figure)
    by_window = not names.isdisjoint(_BY_WINDOW)
    return [
        one
        for one in evidence
        if (not names.isdisjoint(one.touches) and (rank is None or _is_about(one, rank)))
        or (by_window and not _WINDOW.isdisjoint(one.touches))
    ]


def _is_about(one: Evidence, rank: int) -> bool:
    """Whether it is about this row of a rank; what is about a rank is about all its devices."""
    return not one.ranks or rank in one.ranks or rank_of(rank) in one.ranks


def names_of(figure: str) -> frozenset[str]:
    """All names of `Evidence.touches` that say something about this figure."""
    names = {figure}
    plain = figure.removesuffix(_SHARE_OF).removesuffix("_ns")
    if plain in STATES:
        names |= {plain, "states_ns"}
    if figure.endswith(_SHARE_OF):
        names.add(figure.removesuffix(_SHARE_OF) + "_ns")
    if plain.split(".", 1)[0] in COMMUNICATION_KINDS:
        names.add("by_kind")
    if figure in _OF_STEP:
        names.add("step_ns")
    for group in ("ideal", "critical_path", "including_wait"):
        if figure.startswith(f"{group}."):
            names.add(group)
    return frozenset(names)
