"""Memory peaks of both sides, taken apart into what they are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction

from msgspec.structs import replace

from dpprof.analysis.diff.model import Bytes, MemoryDiff
from dpprof.analysis.figures import MemoryFigures, RankFigures
from dpprof.analysis.model import Report

_PARTS = {
    "parameters": "parameter_bytes",
    "gradients": "gradient_bytes",
    "optimizer state": "optimizer_bytes",
    "activations": "activation_bytes",
    "communication buffers": "communication_bytes",
    "rest": "rest_bytes",
}
ACTIVATIONS = "activations"
IN_FLIGHT = "micro-batches in flight"
SIZE_OF_EACH = "size of each"
NOT_TOLD_APART = "not told apart"


def peak_diff(base: MemoryFigures, new: MemoryFigures, ranks: tuple[int, int]) -> MemoryDiff:
    """The peaks of one rank on each side."""
    peaks = (base.peak_allocated_bytes, new.peak_allocated_bytes)
    known = None not in peaks
    reasons = [
        f"{name}: {reason}"
        for name, side in (("BASE", base), ("NEW", new))
        for reason in side.reasons
    ]
    return MemoryDiff(
        base_bytes=peaks[0],
        new_bytes=peaks[1],
        change_bytes=_change(*peaks),
        base_rank=ranks[0],
        new_rank=ranks[1],
        parts=list(_parts(base, new)) if known else [],
        reasons=reasons,
    )


def largest_diff(
    base: Report, new: Report, holders: tuple[Collection[int], Collection[int]] | None = None
) -> MemoryDiff:
    """The largest peaks of any rank on each side, or of the `holders` on each."""
    chosen = [
        _largest(report, None if holders is None else holders[side])
        for side, report in enumerate((base, new))
    ]
    first, second = chosen
    if first is None or second is None:
        return MemoryDiff(
            base_bytes=_peak(first),
            new_bytes=_peak(second),
            change_bytes=None,
            base_rank=None if first is None else first.rank,
            new_rank=None if second is None else second.rank,
            reasons=[*_missing("BASE", base, first), *_missing("NEW", new, second)],
        )
    return peak_diff(first.memory, second.memory, (first.rank, second.rank))


def _missing(name: str, report: Report, chosen: RankFigures | None) -> list[str]:
    if chosen is not None:
        return []
    reasons = dict.fromkeys(reason for rank in report.ranks for reason in rank.memory.reasons)
    return [f"{name}: {reason}" for reason in reasons]


def _largest(report: Report, ranks: Collection[int] | None) -> RankFigures | None:
    known = [
        rank
        for rank in report.ranks
        if rank.memory.peak_allocated_bytes is not None and (ranks is None or rank.rank in ranks)
    ]
    return max(known, key=lambda rank: _peak(rank) or 0, default=None)


def _peak(rank: RankFigures | None) -> int | None:
    return None if rank is None else rank.memory.peak_allocated_bytes


def _change(base: int | None, new: int | None) -> int | None:
    return None if base is None or new is None else new - base


def _bytes(name: str, base: int | None, new: int | None) -> Bytes:
    return Bytes(name=name, base_bytes=base, new_bytes=new, change_bytes=_change(base, new))


def _parts(base: MemoryFigures, new: MemoryFigures) -> Iterator[Bytes]:
    """Parts that both sides know; what is left of the peaks is one more."""
    rest = [base.peak_allocated_bytes or 0, new.peak_allocated_bytes or 0]
    for name, field in _PARTS.items():
        first, second = getattr(base, field), getattr(new, field)
        if first is None or second is None:
            continue
        rest = [rest[0] - first, rest[1] - second]
        if first or second:
            changes = _activation_changes(base, new) if name == ACTIVATIONS else []
            yield replace(_bytes(name, first, second), parts=changes)
    if any(rest):
        yield _bytes(NOT_TOLD_APART, *rest)


def _activation_changes(base: MemoryFigures, new: MemoryFigures) -> list[Bytes]:
    """Share the change out among how many micro-batches are in flight and how large each is.

    Each cause is taken at the mean of the other one's two values, so that no side comes first.
    """
    counts = [sum((side.in_flight or {}).values()) for side in (base, new)]
    sizes = [side.activation_bytes or 0 for side in (base, new)]
    if not all(counts):
        return []
    each = sum(Fraction(size, count) for size, count in zip(sizes, counts, strict=True)) / 2
    by_count = round((counts[1] - counts[0]) * each)
    by_size = sizes[1] - sizes[0] - by_count
    return [
        Bytes(name=name, base_bytes=None, new_bytes=None, change_bytes=change)
        for name, change in ((IN_FLIGHT, by_count), (SIZE_OF_EACH, by_size))
        if change
    ]
