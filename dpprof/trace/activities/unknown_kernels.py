"""Kernels that may communicate and that no rule knows: they are named, with their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.trace.activities.classify import COUNT, SUSPECT, TIME

CHECK = "unknown-kernels"
MOST_NAMES = 20
"""Names of each rank that are kept, those that took most time."""

_SHOWN = 3
_LONGEST = 80


@dataclass(frozen=True)
class UnknownKernel:
    """A name taken for computation although it, or its lane, looks like communication."""

    name: str
    activities: int
    total_ns: int


def unknown_kernels(explained: pd.DataFrame) -> tuple[UnknownKernel, ...]:
    """Those of a rank, the longest first; `explained` is that of `Verdicts`."""
    doubtful = explained[explained[SUSPECT].astype(bool)]
    sums = doubtful.groupby("name", sort=False)[[COUNT, TIME]].sum()
    largest = sums.sort_values(TIME, ascending=False, kind="stable").head(MOST_NAMES)
    return tuple(
        UnknownKernel(str(name), int(count), int(time))
        for name, count, time in largest.itertuples(name=None)
    )


def unknown_evidence(
    by_rank: Mapping[int, Sequence[UnknownKernel]], activities: int
) -> tuple[Evidence, ...]:
    """What to say of them, in one sentence for all ranks; nothing where there are none.

    `activities` is how many the ranks have. No figure is withheld: the time is said beside it.
    """
    ranks = tuple(sorted(rank for rank, kernels in by_rank.items() if kernels))
    if not ranks:
        return ()
    times: dict[str, int] = {}
    for one in (kernel for rank in ranks for kernel in by_rank[rank]):
        times[one.name] = times.get(one.name, 0) + one.total_ns
    found = sum(one.activities for rank in ranks for one in by_rank[rank])
    return (Evidence(CHECK, found, activities, ranks, (), _sentence(times, ranks)),)


def _sentence(times: Mapping[str, int], ranks: Sequence[int]) -> str:
    longest = sorted(times, key=lambda name: -times[name])
    shown = [f"{name[:_LONGEST]} {times[name] / 1e6:.3f} ms" for name in longest[:_SHOWN]]
    more = ", ..." if len(longest) > _SHOWN else ""
    names = (
        "a name that no rule knows looks"
        if len(longest) == 1
        else (f"{len(longest)} names that no rule knows look")
    )
    place = f"on rank {ranks[0]}" if len(ranks) == 1 else f"on {len(ranks)} ranks"
    return (
        f"unknown kernels: {names} like communication, or ran where mostly communication does, "
        f"and counts as computing: {sum(times.values()) / 1e6:.3f} ms {place} "
        f"({', '.join(shown)}{more}); give kinds for them under [[kinds]] in dpprof.toml"
    )
