"""Evaluates rules on a snapshot, beside a baseline where they compare with one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from dpprof.analysis.metrics import IDEAL, WINDOW
from dpprof.errors import DpprofError
from dpprof.evidence.figures import touching
from dpprof.gate.names import JOB_FIGURES
from dpprof.gate.rules import Condition, Rule
from dpprof.gate.snapshot import FigureSnapshot, sampling
from dpprof.gate.split import incomparable, unsplit_figure
from dpprof.statistics.difference import Difference, Sampling, beside, difference
from dpprof.statistics.figure import Figure, Number


@dataclass(frozen=True)
class RuleComparison:
    """A rule on the job (`rank` None) or a rank, before significance is judged.

    `broken`: the figures as they stand are beyond the limit; `unsure`: the 95 % interval of the
    value holds the limit. `tested`: the difference from a baseline must be significant.
    `interval` is that of the value where there is no reference. `untold` says what evidence the
    figure lacks, so that nothing is judged by it.
    """

    rank: int | None
    broken: bool
    value: Number | str | None
    limit: Number | str | None = None
    difference: Difference | None = None
    tested: bool = False
    interval: tuple[float, float] | None = None
    unsure: bool = False
    reason: str = ""
    untold: str = ""


@dataclass(frozen=True)
class ComparedFigures:
    """A run, what it is compared with, and how much runs of it are taken to vary.

    `run_spread` is a part of the step time; None: as `RUN_SPREADS` has it. With `allow_missing`,
    figures are compared as they stand, whatever evidence they lack.
    """

    run: FigureSnapshot
    baseline: FigureSnapshot | None = None
    run_spread: float | None = None
    allow_missing: bool = False

    def against(self, rule: Rule, own: Figure, other: Figure) -> Difference:
        """The run's figure against the baseline's."""
        assert self.baseline is not None
        unit, spread = rule.metric.unit, self.run_spread
        return difference(
            own,
            sampling(self.run, unit, own.typical, spread),
            other,
            sampling(self.baseline, unit, other.typical, spread),
        )


def compare(rule: Rule, sides: ComparedFigures) -> list[RuleComparison]:
    """The rule on everything that it names; raises `DpprofError` where it lacks a baseline."""
    if rule.reference == "baseline" and sides.baseline is None:
        raise DpprofError(
            f"rule {rule.text!r} compares with a baseline; add --baseline RUN or FILE"
        )
    return [_with_evidence(rule, sides, rank) for rank in _targets(rule, sides.run)]


def _with_evidence(rule: Rule, sides: ComparedFigures, rank: int | None) -> RuleComparison:
    found, untold = _compare(rule, sides, rank), _untold(rule, sides, rank)
    untold = untold or _unmatched(rule, sides.run, found)
    if not untold:
        return found
    if sides.allow_missing:
        return replace(found, untold=untold) if found.reason else found
    return RuleComparison(rank, False, found.value, untold=untold)


def _untold(rule: Rule, sides: ComparedFigures, rank: int | None) -> str:
    """What evidence the rule's figure lacks, in the run or in what it is compared with."""
    against = sides.baseline if rule.reference == "baseline" else None
    figures = [rule.metric.figure, *(["ideal"] if rule.reference == "ideal" else [])]
    for name, side in (("", sides.run), ("in the baseline: ", against)):
        if side is None:
            continue
        for figure in figures:
            if lacking := touching(side.evidence, figure, rank):
                return name + lacking[0].text
    return ""


def _unmatched(rule: Rule, run: FigureSnapshot, found: RuleComparison) -> str:
    """Why a rule on waiting or bubbles is not decided: operations were not matched.

    They count as transfer, and may have been waiting: the figure lies between what is known and
    that with all of the rest. A rule that both ends decide alike is decided.
    """
    name = unsplit_figure(rule.metric.figure)
    left = lookup(run, name, found.rank, rule.metric.scope) if name else None
    if not isinstance(left, Figure) or not left.typical:
        return ""
    waits = name != "unsplit_ns" or rule.metric.figure.startswith("wait")
    if not waits:  # what computing covers is no bubble, whatever it was
        exposed = lookup(run, "exposed_ns", found.rank, rule.metric.scope)
        if isinstance(exposed, Figure) and exposed.typical < left.typical:
            left = exposed
    if found.reason and not waits:
        return ""
    if rule.reference == "baseline":
        decided = not waits
    else:
        decided = not found.reason and _is_decided(rule, run, found, left.typical)
    return "" if decided else f"{left.typical / 1e6:.2f} ms of communication {_UNMATCHED}"


_UNMATCHED = "per step were not matched with the peers' and may have been waiting"


def _is_decided(rule: Rule, run: FigureSnapshot, found: RuleComparison, left_ns: Number) -> bool:
    """Whether a rule holds, or does not, with any part of what is not known added."""
    if not isinstance(found.value, int | float) or not isinstance(found.limit, int | float):
        return False
    whole = 1 if rule.metric.unit == "ns" else run.job["step_ns"].typical
    operator = rule.conditions[0].operator
    return operator != "==" and found.broken == _holds(
        operator, found.value + left_ns / whole, found.limit
    )


def _targets(rule: Rule, run: FigureSnapshot) -> list[int | None]:
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


def _compare(rule: Rule, sides: ComparedFigures, rank: int | None) -> RuleComparison:
    run, baseline = sides.run, sides.baseline
    if rule.metric.unit == "text":
        return _word(rule, run)
    own = lookup(run, rule.metric.figure, rank, rule.metric.scope)
    if isinstance(own, str):
        return RuleComparison(rank, True, None, reason=own)
    if rule.reference is None:
        return _absolute(rule, run, own, rank)
    other = _reference(rule, run, baseline, rank)
    if isinstance(other, str):
        return RuleComparison(rank, True, own.typical, reason=other)
    if rule.reference == "ideal" or baseline is None:
        found = beside(own, Sampling(run.steps), other.typical)
        bounds = [bound for _, bound in _bounds(rule, run, found)]
        return replace(_beside(rule, run, found, rank), unsure=_holds_any(found, bounds))
    found = sides.against(rule, own, other)
    return replace(_beside(rule, baseline, found, rank), tested=True)


def _reference(
    rule: Rule, run: FigureSnapshot, baseline: FigureSnapshot | None, rank: int | None
) -> Figure | str:
    if rule.reference == "ideal" or baseline is None:
        return lookup(run, f"{IDEAL}{rule.metric.figure}", rank, rule.metric.scope)
    reason = incomparable(run, baseline, rule.metric.figure, rank)
    if reason is not None:
        return reason
    other = lookup(baseline, rule.metric.figure, rank, rule.metric.scope)
    if other == _NOT_KNOWN:
        return "not in the baseline; save it again"
    return f"in the baseline: {other}" if isinstance(other, str) else other


def lookup(snapshot: FigureSnapshot, figure: str, rank: int | None, scope: str) -> Figure | str:
    """The figure of the job or a rank, or the reason why there is none."""
    reason = snapshot.missing.get(figure)
    if figure.startswith(IDEAL):
        reason = reason or snapshot.missing.get(IDEAL)
    if scope == "job":
        found = snapshot.job.get(figure)
        return found or reason or _nothing(snapshot, figure)
    positions = [i for i, place in enumerate(snapshot.places) if place.rank == rank]
    if not positions:
        return "no rank holds that stage" if rank is None else f"there is no rank {rank}"
    column = snapshot.ranks.get(figure)
    if column is None:
        return reason or _nothing(snapshot, figure)
    return column.at(positions[0]) or reason or "not known of this rank"


def _nothing(snapshot: FigureSnapshot, figure: str) -> Figure | str:
    """What no rank spent any time on is left out of snapshots, of job and ranks alike."""
    if figure.endswith("hidden_share"):
        return "no such communication"
    elsewhere = figure in snapshot.job or figure in snapshot.ranks
    return Figure(0, 0) if figure in _no_time(snapshot) and not elsewhere else _NOT_KNOWN


def _no_time(snapshot: FigureSnapshot) -> Collection[str]:
    return _OF_OLD_FILES if snapshot.nothing is None else snapshot.nothing


_NOT_KNOWN = "not known"
_OF_OLD_FILES = frozenset(
    name
    for name, unit in JOB_FIGURES.items()
    if unit in ("ns", "share") and not name.startswith((IDEAL, "critical_path.", WINDOW))
)
"""What takes no time where a file that does not say so leaves it out."""


def _word(rule: Rule, run: FigureSnapshot) -> RuleComparison:
    value = getattr(run.identity, rule.metric.figure)
    wanted = rule.conditions[0].word
    reason = "" if value is not None else "not known of this run"
    return RuleComparison(None, value != wanted, value, wanted, reason=reason)


def _absolute(rule: Rule, run: FigureSnapshot, own: Figure, rank: int | None) -> RuleComparison:
    limits = [_amount(one, run) for one in rule.conditions]
    holds = [
        _holds(one.operator, own.typical, limit)
        for one, limit in zip(rule.conditions, limits, strict=True)
    ]
    if rule.conditions[0].operator == "==":
        return RuleComparison(rank, not holds[0], own.typical, limits[0])
    alone = beside(own, Sampling(run.steps), 0.0)
    return RuleComparison(
        rank,
        all(holds),
        own.typical,
        _strictest([(one.operator, at) for one, at in zip(rule.conditions, limits, strict=True)]),
        interval=alone.interval if alone.error else None,
        unsure=_holds_any(alone, limits),
    )


def _holds_any(found: Difference, limits: Sequence[float]) -> bool:
    """Whether a limit lies within the 95 % interval of the value; one of no width has none."""
    if not found.interval or not found.error:
        return False
    low, high = (found.reference + end for end in found.interval)
    return any(low <= limit <= high for limit in limits)


def _beside(
    rule: Rule, reference: FigureSnapshot, found: Difference, rank: int | None
) -> RuleComparison:
    """Against a reference; `limit` is the value at which the strictest condition begins to hold."""
    bounds = list(_bounds(rule, reference, found))
    broken = all(_holds(operator, found.value, bound) for operator, bound in bounds)
    return RuleComparison(rank, broken, found.value, _strictest(bounds), found)


def _bounds(
    rule: Rule, reference: FigureSnapshot, found: Difference
) -> Iterator[tuple[str, float]]:
    """Every condition as one on the value; a floor goes the way of the others, wherever it is."""
    base = found.reference
    down = all(one.operator.startswith("<") for one in rule.conditions if one.meaning != "floor")
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
                yield (
                    one.operator.replace(">", "<") if down else one.operator,
                    (base - amount if down else base + amount),
                )


def _strictest(bounds: Sequence[tuple[str, float]]) -> float:
    """The bound that is met last by a value that grows, or that falls where all are upper ones."""
    lower = [bound for operator, bound in bounds if not operator.startswith("<")]
    return max(lower) if lower else min(bound for _, bound in bounds)


def _amount(condition: Condition, snapshot: FigureSnapshot) -> float:
    return condition.amount * (snapshot.job["step_ns"].typical if condition.of_step else 1)


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
