"""Evaluates rules on a snapshot, beside a baseline where they compare with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dpprof.errors import DpprofError
from dpprof.gate.names import IDEAL, JOB_FIGURES, RANK_FIGURES
from dpprof.gate.result import Check, Status
from dpprof.gate.rules import Condition, Rule
from dpprof.gate.snapshot import Figure, Number, Snapshot
from dpprof.gate.spread import Difference, Sampling, difference

FALSE_ALARMS = 0.01
"""How often a gate may find a significant change at all where nothing has changed."""


@dataclass(frozen=True)
class Comparison:
    """A rule on the job (`rank` None) or a rank, before significance is judged.

    `broken`: the figures as they stand are beyond the limit.
    """

    rank: int | None
    broken: bool
    value: Number | str | None
    limit: Number | str | None = None
    difference: Difference | None = None
    tested: bool = False
    reason: str = ""


def compare(rule: Rule, run: Snapshot, baseline: Snapshot | None) -> list[Comparison]:
    """The rule on everything that it names; raises `DpprofError` where it lacks a baseline."""
    if rule.reference == "baseline" and baseline is None:
        raise DpprofError(
            f"rule {rule.text!r} compares with a baseline; add --baseline RUN or FILE"
        )
    return [_compare(rule, run, baseline, rank) for rank in _targets(rule, run)]


def _targets(rule: Rule, run: Snapshot) -> list[int | None]:
    metric = rule.metric
    if metric.scope == "job":
        return [None]
    ranks: list[int | None] = [place.rank for place in run.places]
    if metric.scope == "rank":
        return [metric.number]
    if metric.scope == "stage":
        held = [place.rank for place in run.places if metric.number in place.stages]
        return list(held) or [None]
    return ranks


def _compare(rule: Rule, run: Snapshot, baseline: Snapshot | None, rank: int | None) -> Comparison:
    if rule.metric.unit == "text":
        return _word(rule, run)
    own = lookup(run, rule.metric.figure, rank, rule.metric.scope)
    if isinstance(own, str):
        return Comparison(rank, True, None, reason=own)
    if rule.reference is None:
        return _absolute(rule, run, own, rank)
    other = _reference(rule, run, baseline, rank)
    if isinstance(other, str):
        return Comparison(rank, True, own.mean, reason=other)
    if rule.reference == "ideal" or baseline is None:
        found = Difference(own.mean, other.mean, None)  # both of the run as it was
        return _beside(rule, run, found, rank)
    sampling = Sampling.of(run, rule.metric.unit, own.mean)
    sampled = Sampling.of(baseline, rule.metric.unit, other.mean)
    found = difference(own, sampling, other, sampled)
    return replace(_beside(rule, baseline, found, rank), tested=True)


def _reference(
    rule: Rule, run: Snapshot, baseline: Snapshot | None, rank: int | None
) -> Figure | str:
    if rule.reference == "ideal" or baseline is None:
        return lookup(run, f"{IDEAL}{rule.metric.figure}", rank, rule.metric.scope)
    other = lookup(baseline, rule.metric.figure, rank, rule.metric.scope)
    return f"in the baseline: {other}" if isinstance(other, str) else other


def lookup(snapshot: Snapshot, figure: str, rank: int | None, scope: str) -> Figure | str:
    """The figure of the job or a rank, or the reason why there is none."""
    reason = snapshot.missing.get(figure)
    if figure.startswith(IDEAL):
        reason = reason or snapshot.missing.get(IDEAL)
    if scope == "job":
        found = snapshot.job.get(figure)
        return found or reason or _nothing(figure)
    positions = [i for i, place in enumerate(snapshot.places) if place.rank == rank]
    if not positions:
        return "no rank holds that stage" if rank is None else f"there is no rank {rank}"
    column = snapshot.ranks.get(figure)
    if column is None:
        return reason or _nothing(figure)
    return column.at(positions[0]) or reason or "not known of this rank"


def _nothing(figure: str) -> Figure | str:
    """What no rank spent any time on is left out of snapshots; everything else is unknown."""
    unit = RANK_FIGURES.get(figure) or JOB_FIGURES.get(figure)
    if unit == "ns" and not figure.startswith(IDEAL):
        return Figure(0, 0)
    if unit == "share" and not figure.endswith("hidden_share"):
        return Figure(0, 0)
    return "no such communication" if figure.endswith("hidden_share") else "not known"


def _word(rule: Rule, run: Snapshot) -> Comparison:
    value = getattr(run.identity, rule.metric.figure)
    wanted = rule.conditions[0].word
    reason = "" if value is not None else "not known of this run"
    return Comparison(None, value != wanted, value, wanted, reason=reason)


def _absolute(rule: Rule, run: Snapshot, own: Figure, rank: int | None) -> Comparison:
    limits = [_amount(one, run) for one in rule.conditions]
    holds = [
        _holds(one.operator, own.mean, limit)
        for one, limit in zip(rule.conditions, limits, strict=True)
    ]
    required = rule.conditions[0].operator == "=="
    return Comparison(rank, not holds[0] if required else all(holds), own.mean, limits[0])


def _beside(rule: Rule, reference: Snapshot, found: Difference, rank: int | None) -> Comparison:
    """Against a reference; `limit` is the value at which the strictest condition begins to hold."""
    bounds = list(_bounds(rule, reference, found))
    broken = all(_holds(operator, found.value, bound) for operator, bound in bounds)
    down = bounds[0][0].startswith("<")
    limit = (min if down else max)(bound for _, bound in bounds)
    return Comparison(rank, broken, found.value, limit, found)


def _bounds(rule: Rule, reference: Snapshot, found: Difference) -> Iterator[tuple[str, float]]:
    """Every condition as one on the value."""
    base = found.reference
    down = rule.conditions[0].operator.startswith("<")
    for one in rule.conditions:
        amount = _amount(one, reference)
        match one.meaning:
            case "factor":
                yield one.operator, base * amount
            case "relative":
                yield one.operator, base + abs(base) * amount
            case "change":
                yield one.operator, base + amount
            case "floor":
                yield ("<", base - amount) if down else (">", base + amount)


def _amount(condition: Condition, snapshot: Snapshot) -> float:
    return condition.amount * (snapshot.job["step_ns"].mean if condition.of_step else 1)


def _holds(operator: str, value: float, limit: float) -> bool:
    match operator:
        case ">":
            return value > limit
        case ">=":
            return value >= limit
        case "<":
            return value < limit
        case "<=":
            return value <= limit
    return value == limit


def judge(comparisons: Sequence[Sequence[Comparison]]) -> list[list[Check]]:
    """Comparisons by rule as checks: what is beyond its limit must also be significant.

    Over all comparisons of a gate, however many, an unchanged run gives a significant one in at
    most `FALSE_ALARMS` of the cases (Holm's method).
    """
    tested = [one for many in comparisons for one in many if one.tested]
    adjusted = iter(_holm([_chance(one) for one in tested]))
    needed = FALSE_ALARMS / max(len(tested), 1)
    return [
        [_check(one, next(adjusted) if one.tested else None, needed) for one in many]
        for many in comparisons
    ]


def _chance(one: Comparison) -> float:
    """Of a comparison with one step a side nothing is known, so it takes the change as it is."""
    chance = None if one.difference is None else one.difference.chance
    return 0.0 if chance is None else chance


def _holm(chances: Sequence[float]) -> list[float]:
    """Adjusted so that the smallest of them can be held against the limit for all together."""
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    adjusted, so_far = [0.0] * len(chances), 0.0
    for position, i in enumerate(order):
        so_far = max(so_far, min(1.0, chances[i] * (len(chances) - position)))
        adjusted[i] = so_far
    return adjusted


def _check(one: Comparison, adjusted: float | None, needed: float) -> Check:
    found, status = one.difference, _status(one, adjusted)
    reason = one.reason
    unknown = one.tested and found is not None and found.error is None
    if unknown and status == "failed":
        reason = (
            "its spread is not known (one step, or one value of a run), so the change is taken as "
            "it is"
        )
    return Check(
        rank=one.rank,
        status=status,
        value=one.value,
        limit=one.limit,
        reference=None if found is None else found.reference,
        change=None if found is None else found.change,
        relative=None if found is None else found.relative,
        interval=found.interval if found is not None and one.tested else None,
        chance=None if unknown else adjusted,
        detectable=found.detectable(needed) if found is not None and one.tested else None,
        reason=reason,
    )


def _status(one: Comparison, adjusted: float | None) -> Status:
    if one.value is None or one.reason:
        return "missing"
    if not one.broken:
        return "passed"
    return "not_significant" if adjusted is not None and adjusted > FALSE_ALARMS else "failed"
