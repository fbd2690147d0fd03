"""Judges comparisons: what is beyond its limit must also be beyond the spread."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.gate.evaluate import RuleComparison
from dpprof.gate.result import Check, Status
from dpprof.statistics.difference import FALSE_ALARMS, Difference

_OF_THE_JOB = 0.8
"""The part of it for figures of the job, which are few; those of single ranks share the rest."""


def judge(comparisons: Sequence[Sequence[RuleComparison]]) -> list[list[Check]]:
    """Comparisons by rule as checks: what is beyond its limit must also be significant.

    Over all comparisons of a gate, however many, an unchanged run gives a significant one in at
    most `FALSE_ALARMS` of the cases (Holm's method, with weights). What has no noise takes no part.
    """
    every = [one for many in comparisons for one in many]
    weights = _weights(every)
    adjusted = iter(zip(_adjusted(every, weights), weights, strict=True))
    return [[_check(one, *next(adjusted)) for one in many] for many in comparisons]


def _weights(comparisons: Sequence[RuleComparison]) -> list[float]:
    """How much of `FALSE_ALARMS` each may use; in all 1, or 0 where nothing has noise."""
    noisy = [
        one.tested and one.difference is not None and bool(one.difference.error)
        for one in comparisons
    ]
    of_job = [one.rank is None for one in comparisons]
    counts = {
        job: sum(is_noisy for is_noisy, of in zip(noisy, of_job, strict=True) if of == job)
        for job in (True, False)
    }
    parts = {True: _OF_THE_JOB, False: 1 - _OF_THE_JOB} if all(counts.values()) else {}
    return [
        parts.get(job, 1.0) / counts[job] if is_noisy else 0.0
        for is_noisy, job in zip(noisy, of_job, strict=True)
    ]


def _adjusted(
    comparisons: Sequence[RuleComparison], weights: Sequence[float]
) -> list[float | None]:
    """Chances to be held against `FALSE_ALARMS`; None where nothing is tested or known."""
    chances = [_chance(one) for one in comparisons]
    noisy = [i for i, weight in enumerate(weights) if weight]
    held = _holm([chances[i] or 0.0 for i in noisy], [weights[i] for i in noisy])
    for i, chance in zip(noisy, held, strict=True):
        chances[i] = chance
    return chances


def _chance(one: RuleComparison) -> float | None:
    """Of a change as large or larger towards the limit."""
    found = one.difference
    if found is None or found.chance is None or not one.tested:
        return None
    limit = one.limit if isinstance(one.limit, int | float) else found.reference
    towards = found.change * (limit - found.reference) >= 0
    return found.chance if towards else 1 - found.chance


def _holm(chances: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Adjusted so that each can be held against the limit for all together (Holm 1979)."""
    order = sorted(range(len(chances)), key=lambda i: chances[i] / weights[i])
    adjusted, so_far, left = [0.0] * len(chances), 0.0, sum(weights)
    for i in order:
        so_far = max(so_far, min(1.0, chances[i] / weights[i] * left))
        adjusted[i] = so_far
        left -= weights[i]
    return adjusted


def _check(one: RuleComparison, adjusted: float | None, weight: float) -> Check:
    found, status = one.difference, _status(one, adjusted)
    tested = found is not None and one.tested
    unknown = tested and found is not None and found.error is None
    return Check(
        rank=one.rank,
        status=status,
        value=one.value,
        limit=one.limit,
        reference=None if found is None else found.reference,
        change=None if found is None else found.change,
        relative=None if found is None else found.relative,
        interval=one.interval if found is None else _interval(one, found),
        chance=adjusted,
        detectable=found.detectable(FALSE_ALARMS * (weight or 1.0))
        if tested and found is not None
        else None,
        reason=one.untold or (_UNKNOWN if unknown and status == "not_significant" else one.reason),
    )


def _interval(one: RuleComparison, found: Difference) -> tuple[float, float] | None:
    return found.interval if one.tested or found.error else None


_UNKNOWN = "its spread is not known (one step, or one value of a run)"


def _status(one: RuleComparison, adjusted: float | None) -> Status:
    if one.untold:
        return "skipped" if one.reason else "cannot_tell"
    if one.value is None or one.reason:
        return "missing"
    if not one.broken:
        return "passed"
    if one.tested:
        return "failed" if adjusted is not None and adjusted <= FALSE_ALARMS else "not_significant"
    return "not_significant" if one.unsure else "failed"
