"""The gate: rules on a run, beside a baseline or not, to a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpprof.analysis.slow_slots import newly_slow
from dpprof.errors import DpprofError
from dpprof.gate.attribution import ComparedSides as CulpritSides
from dpprof.gate.attribution import find_culprits, largest_bubble
from dpprof.gate.evaluate import ComparedFigures, compare
from dpprof.gate.identity import Mismatch, mismatches
from dpprof.gate.judge import judge
from dpprof.gate.result import Check, GateResult, RuleResult, Status
from dpprof.gate.rules import Rule, read_rules
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.statistics.difference import assumed_spread

DEFAULT_RULES = (
    "step_ns > +2%",
    "bubble_ns > +3% and > 0.1% step",
    "exposed_ns > +3% and > 0.1% step",
    "compute_ns > +3% and > 0.5% step",
    "any.compute_ns > +5% and > 1% step",
    "any.exposed_ns > +5% and > 1% step",
    "any.bubble_ns > +10% and > 2% step",
    "any.peak_allocated_bytes > +2% and > 16MiB",
)
"""What is checked where a baseline is given and no rule."""

_ORDER: tuple[Status, ...] = (
    "failed",
    "missing",
    "cannot_tell",
    "not_significant",
    "passed",
    "skipped",
)
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a run is compared with: its figures, and its name for messages."""

    name: str
    snapshot: FigureSnapshot
    allow_mismatch: bool = False


def gate(
    run: FigureSnapshot,
    rules: Sequence[str | Rule],
    baseline: Baseline | None = None,
    *,
    run_spread: float | None = None,
    allow_missing: bool = False,
) -> GateResult:
    """Check `run` by `rules`; by `DEFAULT_RULES` where there are none and there is a baseline.

    `run_spread`: how much the means of runs are taken to vary, as a part of the step time; without
    it as `dpprof.statistics.difference.RUN_SPREADS` has it. A rule on a figure that lacks evidence
    cannot tell, and the run does not pass; with `allow_missing` the figure is judged as it stands.

    Raises `DpprofError` for wrong rules, a rule that lacks its baseline, and a baseline of
    something else (see `dpprof.gate.identity`), unless that is allowed.
    """
    if not rules and baseline is None:
        raise DpprofError("nothing to check; give rules (--fail-if RULE) or a --baseline, or both")
    chosen = [one if isinstance(one, Rule) else read_rules([one])[0] for one in rules]
    chosen = chosen or read_rules(DEFAULT_RULES)
    accepted_differences = _differences(run, baseline)
    other = None if baseline is None else baseline.snapshot
    sides = ComparedFigures(run, other, run_spread, allow_missing)
    judged = judge([compare(rule, sides) for rule in chosen])
    results = [
        _rule_result(rule, checks, default=not rules)
        for rule, checks in zip(chosen, judged, strict=True)
    ]
    if all(one.status == "skipped" for one in results):
        reasons = "; ".join(dict.fromkeys(one.checks[0].reason for one in results))
        raise DpprofError(f"no default rule can be checked ({reasons}); give rules of your own")
    broken = [one for one in results if one.status in ("failed", "missing")]
    failed = [one for one in broken if one.status == "failed"]
    untold = any(one.status == "cannot_tell" for one in results)
    times = any(one.unit != "bytes" for one in failed)
    memory = any(one.unit == "bytes" for one in failed)
    return GateResult(
        passed=not broken and not untold,
        cannot_tell=untold and not broken,
        runs=run.runs,
        steps=run.steps,
        source=run.identity.source,
        baseline=None if baseline is None else baseline.name,
        baseline_steps=[] if other is None else other.steps,
        rules=results,
        run_spread=_assumed(results, run, run_spread),
        findings=find_culprits(CulpritSides(run, other, run_spread), times=times, memory=memory)
        if other
        else [],
        slow_slots=newly_slow(other.slow_slots if other else [], run.slow_slots) if times else [],
        largest_bubble=largest_bubble(run)
        if any("bubble" in one.metric for one in failed)
        else None,
        accepted_differences=accepted_differences,
        evidence=list(dict.fromkeys([*run.evidence, *([] if other is None else other.evidence)])),
        allow_missing=allow_missing,
        warnings=run.warnings,
    )


def _assumed(
    rules: Sequence[RuleResult], run: FigureSnapshot, run_spread: float | None
) -> float | None:
    """By how much runs were taken to vary, where that went into a comparison."""
    beside = any(one.compares_with == "baseline" and one.unit != "bytes" for one in rules)
    return assumed_spread(run.identity.source, run_spread) or None if beside else None


def _differences(run: FigureSnapshot, baseline: Baseline | None) -> list[Mismatch]:
    if baseline is None:
        return []
    found = mismatches(baseline.snapshot.identity, run.identity)
    if found and not baseline.allow_mismatch:
        named = "; ".join(one.text for one in found[:_MOST_NAMED])
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise DpprofError(
            f"{baseline.name}: is a baseline of a different run: {named}{more}. Save a baseline of "
            "the same thing (dpprof baseline save), or add --allow-mismatch"
        )
    return found


def _rule_result(rule: Rule, checks: Sequence[Check], *, default: bool) -> RuleResult:
    """The rule with its worst check first; what nobody asked for by name may be unknown."""
    known = [_skipped(one) for one in checks] if default else list(checks)
    worst_first = sorted(known, key=lambda one: (_ORDER.index(one.status), -_excess(one)))
    return RuleResult(
        rule=rule.text,
        metric=rule.metric.text,
        unit=rule.metric.unit,
        default=default,
        compares_with=rule.reference,
        status=worst_first[0].status,
        checks=worst_first,
    )


def _skipped(check: Check) -> Check:
    if check.status != "missing":
        return check
    return Check(
        rank=check.rank,
        status="skipped",
        value=check.value,
        limit=None,
        reason=check.reason,
    )


def _excess(check: Check) -> float:
    """By how much a check is on the wrong side, to order those of one rule."""
    if check.change is not None:
        down = isinstance(check.limit, int | float) and check.limit < (check.reference or 0)
        return -check.change if down else check.change
    numbers = (check.value, check.limit)
    if not all(isinstance(one, int | float) for one in numbers):
        return 0.0
    return abs(float(check.value or 0) - float(check.limit or 0))
