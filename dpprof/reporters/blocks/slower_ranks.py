"""Pipeline ranks that compute more than the others, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpprof.analysis.observations import SLOW_RANK, Finding, SlowerRank
from dpprof.reporters.blocks.units import TimeUnit, share_text


def slower_notes(
    slower: Sequence[SlowerRank], findings: Sequence[Finding], unit: TimeUnit
) -> Iterator[str]:
    """A sentence for each, but for those that a finding names as slow already."""
    named = {rank for one in findings if one.what == SLOW_RANK for rank in one.ranks}
    yield from (_words(one, unit) for one in slower if one.pp_rank not in named)


def _words(slower: SlowerRank, unit: TimeUnit) -> str:
    """``pipeline rank 7 (stage 7) computes 2271.73 ms a step, 199.00 ms (9.6%) above ...``."""
    stages = ", ".join(map(str, slower.stages))
    place = f"pipeline rank {slower.pp_rank} (stage{'s' * (len(slower.stages) > 1)} {stages})"
    parts = ", ".join(_signed(name, ns, unit) for name, ns in _largest_first(slower))
    share = share_text(slower.excess_ns / slower.others_ns)
    return (
        f"{place} computes {unit.full(slower.compute_ns)} a step, {unit.full(slower.excess_ns)} "
        f"({share}) above the median of the others{f': {parts}' if parts else ''}; with slots like "
        f"theirs the ideal step would be {unit.full(slower.cost_ns)} shorter"
    )


def _largest_first(slower: SlowerRank) -> list[tuple[str, int]]:
    return sorted(slower.excess_by_operation_ns.items(), key=lambda part: -part[1])


def _signed(name: str, excess_ns: int, unit: TimeUnit) -> str:
    return f"{name} {excess_ns / unit.nanoseconds:+.2f}"
