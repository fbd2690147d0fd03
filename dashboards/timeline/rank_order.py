"""Which ranks stand together in the picture, and in which order: by stage, by group, pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from dpprof.dashboards.view.ranges import ranges_text
from dpprof.runs.manifest import RankPlace

EIGHTS = 8
PINNED = "pinned"

_LABELS: Mapping[str, Callable[[RankPlace], str]] = MappingProxyType(
    {
        "stage": lambda at: "stage " + " and ".join(map(str, at.stages or [at.pp_rank])),
        "ep": lambda at: f"EP group of PP {at.pp_rank}, DP {at.dp_rank}",
        "dp": lambda at: f"DP group of PP {at.pp_rank}, EP {at.ep_rank}",
        "eights": lambda at: _eight(at.rank // EIGHTS),
    }
)

GROUPINGS: Sequence[tuple[str, str]] = (
    ("", "rank"),
    ("stage", "stage"),
    ("ep", "EP group"),
    ("dp", "DP group"),
    ("eights", "eights of ranks"),
)
"""By what ranks can be grouped, and what that is called.

No trace says which machine a rank was on; a machine of eight has eight ranks one after another.
"""


def _eight(number: int) -> str:
    return f"ranks {number * EIGHTS} to {number * EIGHTS + EIGHTS - 1}"


def rank_groups(places: Sequence[RankPlace], by: str) -> dict[str, list[int]]:
    """The ranks of each group under its name, both in order of rank; one group without a name."""
    label = _LABELS.get(by)
    groups: dict[str, list[int]] = {}
    for place in sorted(places, key=lambda at: at.rank):
        groups.setdefault(label(place) if label else "", []).append(place.rank)
    return groups


def arranged(places: Sequence[RankPlace], by: str, pinned: Sequence[int]) -> dict[str, list[int]]:
    """The same with the pinned ranks first, in a group of their own."""
    groups = {
        name: [rank for rank in ranks if rank not in pinned]
        for name, ranks in rank_groups(places, by).items()
    }
    first = [place.rank for place in places if place.rank in pinned]
    whole = ({PINNED: sorted(first)} if first else {}) | groups
    return {name: ranks for name, ranks in whole.items() if ranks}


def group_choices(places: Sequence[RankPlace]) -> list[tuple[str, str]]:
    """Every group of more than one rank, but not of all: its ranks as text, and its name."""
    found: dict[str, str] = {}
    for by in _LABELS:
        for name, ranks in rank_groups(places, by).items():
            if 1 < len(ranks) < len(places):
                found.setdefault(ranges_text(ranks), name)
    return list(found.items())
