"""The bubbles that cost most, in words: what is the same in several steps or ranks is said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from dpprof.analysis.model import Report
from dpprof.analysis.observations import RegionFigures
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.reporters.report.rank_sections import unit_of
from dpprof.reporters.report.sentences import reason_words
from dpprof.tables.devices import rank_label, rank_name
from dpprof.tables.kinds import BUBBLE_STRAGGLER

LONGEST_REGIONS = 5
_TRIFLE = 0.005
"""Share of the step, over the used steps, below which a bubble is not worth a line."""
_MOST_RANKS = 8


def longest_regions(report: Report) -> list[str]:
    """A line each for the bubbles that cost most over the used steps, the most first."""
    least = _TRIFLE * sum(step.window_ns for step in report.per_step)
    costs = [(_per_rank(alike), alike) for alike in _alike(report.regions)]
    worth = sorted((cost for cost in costs if cost[0] >= least), key=lambda cost: -cost[0])
    unit, several = unit_of(report), len(report.per_step) > 1
    return [_line(alike, unit, several) for _, alike in worth[:LONGEST_REGIONS]]


def _per_rank(alike: Sequence[RegionFigures]) -> float:
    """Time over all steps of the mean rank."""
    return sum(one.length_ns for one in alike) / len({one.rank for one in alike})


def _alike(regions: Sequence[RegionFigures]) -> Iterator[list[RegionFigures]]:
    """Regions of a rank with the same reason, the n-th of each step.

    A straggler lets all who wait for it go at one instant; what nothing is known of is alone.
    """
    found: dict[object, list[RegionFigures]] = {}
    seen: Counter[object] = Counter()
    for region in sorted(regions, key=lambda region: region.start_ns):
        said = (region.slot, region.cause_kind, region.cause, region.cause_rank, region.phase)
        reason = (region.state, *said)
        seen[region.rank, region.step, reason] += 1
        which: tuple[object, ...] = (region.rank, seen[region.rank, region.step, reason])
        if region.state == BUBBLE_STRAGGLER:
            which = (region.step, region.end_ns)
        elif said == (None, None, None, None, "steady"):
            which = (*which, region.step)
        found.setdefault((reason, which), []).append(region)
    yield from found.values()


def _line(alike: Sequence[RegionFigures], unit: TimeUnit, several: bool) -> str:
    """``ranks 0, 1 idle 4.20 ms at 13.10 ms, steady: waits for rank 2, B1.3 (mean of 3 steps)``."""
    first = alike[0]
    length, offset = (
        sum(getattr(one, name) for one in alike) / len(alike) for name in ("length_ns", "offset_ns")
    )
    ranks, steps = sorted({one.rank for one in alike}), {one.step for one in alike}
    where = f"step {first.step}, " if several and len(steps) == 1 else ""
    note = f" (mean of {len(steps)} steps)" if len(steps) > 1 else ""
    return (
        f"{_ranks(ranks)} idle {unit.full(length)} at {where}{unit.full(offset)}, "
        f"{first.phase}: {reason_words(first)}{note}"
    )


def _ranks(ranks: Sequence[int]) -> str:
    if len(ranks) == 1:
        return f"{rank_name(ranks[0])}"
    more = len(ranks) - _MOST_RANKS
    shown = ", ".join(map(rank_label, ranks[:_MOST_RANKS]))
    return f"ranks {shown}{f' and {more} more' if more > 0 else ''}"
