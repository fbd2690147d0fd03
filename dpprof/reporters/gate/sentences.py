"""A gate's verdict, rules and findings in words."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.evidence.evidence import texts
from dpprof.gate.result import Check, GateFinding, GateResult, LargestBubble, RuleResult
from dpprof.reporters.blocks.units import UNKNOWN, bytes_text, rate_text, time_unit
from dpprof.statistics.figure import Unit
from dpprof.tables.devices import rank_label, rank_name

_WORDS = {
    "passed": "ok",
    "failed": "FAILED",
    "missing": "MISSING",
    "cannot_tell": "cannot tell",
    "not_significant": "not significant",
    "skipped": "n/a",
}
_BROKEN = ("failed", "missing")
_MOST_RANKS = 6


def status_word(status: str) -> str:
    """``FAILED``, ``ok``, ``not significant`` ..."""
    return _WORDS[status]


def headline(result: GateResult) -> str:
    """The verdict in one line, with who broke the limits."""
    broken = [rule for status in _BROKEN for rule in result.rules if rule.status == status]
    name = result.runs[0] if len(result.runs) == 1 else f"{result.runs[0]} (x{len(result.runs)})"
    beside = f" against {result.baseline}" if result.baseline else ""
    modelled = "" if result.source == "captured" else f" ({result.source.upper()})"
    if result.cannot_tell:
        return f"CANNOT TELL {name}{modelled}: {_untold(result)}{beside}"
    if not broken:
        return f"PASSED {name}{modelled}: {_kept(result)}{beside}"
    limits = f"{len(broken)} of {_count(len(result.rules), 'limit')} broken"
    if result.findings:
        return f"FAILED {name}{modelled}: {limits}{beside}: {finding_words(result.findings[0])}"
    return f"FAILED {name}{modelled}: {limits}{beside}: {rule_words(broken[0])}"


def _untold(result: GateResult) -> str:
    rules = [rule for rule in result.rules if rule.status == "cannot_tell"]
    return f"{len(rules)} of {_count(len(result.rules), 'limit')} lack evidence"


def unsure(result: GateResult) -> list[RuleResult]:
    """The rules of which it is not known whether they are kept."""
    return [rule for rule in result.rules if rule.status == "not_significant"]


def _kept(result: GateResult) -> str:
    """``3 limits kept, 2 not significant (...), 1 n/a``: what is not known is not called kept."""
    kept, unknown = (
        sum(rule.status == status for rule in result.rules) for status in ("passed", "skipped")
    )
    words = f"{_count(kept, 'limit')} kept"
    if unsure(result):
        words += f", {len(unsure(result))} not significant (beyond their limit, "
        words += "but not beyond the spread)"
    return f"{words}, {unknown} n/a" if unknown else words


def rule_words(rule: RuleResult) -> str:
    """The worst check of a rule: ``bubble_share (rank 3) is 14.2 %, limit 12.0 %``."""
    words = _check_words(rule)
    if rule.status == "cannot_tell":
        return f"cannot tell: {words}"
    if rule.status != "not_significant":
        return words
    return f"not significant: {words}; {_doubt(rule)}, profile more steps (or --repeat)"


def _doubt(rule: RuleResult) -> str:
    """Why a rule is not significant."""
    check = rule.checks[0]
    if rule.compares_with == "baseline":
        if check.detectable is None:
            return "so no change can be told"
        return f"with this spread a change of {_detectable(rule)} could be told"
    low, high = (
        value_text(end + (check.reference or 0), rule.unit) for end in check.interval or (0, 0)
    )
    return f"it is {low} to {high} with 95 % confidence"


def _check_words(rule: RuleResult) -> str:
    check = rule.checks[0]
    where = ""
    if check.rank is not None and not rule.metric.startswith("rank"):
        where = f" ({rank_name(check.rank)})"
    name = f"{rule.metric}{where}"
    if check.status in ("missing", "skipped"):
        return f"{name}: n/a, {check.reason}"
    if check.status == "cannot_tell":
        return f"{name}: {check.reason}"
    value = value_text(check.value, rule.unit)
    if "==" in rule.rule:
        return f"{name} is {value}, required {value_text(check.limit, rule.unit)}"
    if check.reference is None:
        limit = value_text(check.limit, rule.unit)
        if ">=" in rule.rule or "<=" in rule.rule:
            return f"{name} is {value}, must be {'below' if '>=' in rule.rule else 'above'} {limit}"
        return f"{name} is {value}, limit {limit}"
    text = f"{name} {change_text(check, rule.unit)}: {value_text(check.reference, rule.unit)} "
    text += f"{'ideally' if rule.compares_with == 'ideal' else 'before'}, now {value}"
    return f"{text}; {check.reason}" if check.reason else text


def change_text(check: Check, unit: Unit) -> str:
    """``+5.1 %``; the plain change where the reference is 0."""
    if check.change is None:
        return UNKNOWN
    if check.relative is None:
        return signed_text(check.change, unit)
    return f"{check.relative * 100:+.1f} %".replace("-0.0 ", "+0.0 ")


def finding_words(finding: GateFinding) -> str:
    """``rank 2 (stages 1, 2): computes longer: +97.2 ms (+20.0 %) a step; ranks 0, 1 wait``."""
    who = f"{_ranks(finding.ranks)}{_stages(finding)}"
    much = signed_text(finding.change, finding.unit)
    relative = "" if finding.relative is None else f" ({finding.relative * 100:+.1f} %)"
    each = " on average" if len(finding.ranks) > 1 else ""
    a_step = " a step" if finding.unit == "ns" else ""
    text = f"{who}: {_cause(finding)}: {much}{relative}{a_step}{each}"
    if finding.affected_ranks:
        verb = "waits" if len(finding.affected_ranks) == 1 else "wait"
        longer = signed_text(finding.affected_wait_ns, "ns").lstrip("+")
        text += f"; {_ranks(finding.affected_ranks)} {verb} {longer} longer for it"
    return text


def _cause(finding: GateFinding) -> str:
    match finding.cause:
        case "computes_longer":
            return "compute takes longer"
        case "transfers_longer":
            return f"{finding.kind} transfers take longer, exposed"
        case "less_hidden":
            before, now = finding.hidden_share or (0.0, 0.0)
            return (
                f"{finding.kind} exposed, less of it hidden under compute "
                f"({before:.0%} before, {now:.0%} now)"
            )
        case "host_late":
            return "host late, the device idle with its inputs there (a synchronisation?)"
        case "copies_longer":
            return "memory copies take longer"
        case "idles":
            return "idle, with no cause found"
        case "waits":
            return _waits(finding)
    plural = "s" * (finding.part == "activation")
    part = f", the largest part {finding.part}{plural}" if finding.part else ""
    return f"memory peak larger{part}"


def _waits(finding: GateFinding) -> str:
    verb = "waits" if len(finding.ranks) == 1 else "wait"
    if finding.waits_for is None:
        return f"{verb} longer for other ranks; no rank's own work grew for certain"
    awaited = rank_name(finding.waits_for)
    return f"{verb} longer, most of it for {awaited}; no rank's own work grew for certain"


def largest_bubble_words(bubble: LargestBubble) -> str:
    """``rank 3 idles most: 14.2 ms a step, of it 9.1 ms bubble.host; it waits longest for ...``."""
    unit = time_unit(bubble.bubble_ns)
    waits = ""
    if bubble.waits_for is not None:
        longest = unit.full(bubble.waits_for_ns)
        waits = f"; it waits longest for {rank_name(bubble.waits_for)}, {longest}"
    stages = f" ({_stage_words(bubble.stages)})" if bubble.stages else ""
    return (
        f"{rank_name(bubble.rank)}{stages} idles most: {unit.full(bubble.bubble_ns)} a step, of it "
        f"{unit.full(bubble.state_ns)} {bubble.state}{waits}"
    )


def notes(result: GateResult) -> list[str]:
    """Everything else there is to know, a line each."""
    lines = [
        f"compared in spite of a mismatch (--allow-mismatch): {one.text}"
        for one in result.accepted_differences
    ]
    if result.allow_missing:
        lines += [f"let through without evidence: {text}" for text in texts(result.evidence)]
    said = ("missing", "cannot_tell", "skipped")
    lines += [rule_words(rule) for rule in result.rules if rule.status in said]
    return lines + [rule_words(rule) for rule in unsure(result)]


def _detectable(rule: RuleResult) -> str:
    check = rule.checks[0]
    if check.detectable is None:
        return UNKNOWN
    if not check.reference:
        return signed_text(check.detectable, rule.unit)
    return f"{check.detectable / abs(check.reference) * 100:.1f} %"


def value_text(value: float | str | None, unit: Unit) -> str:
    """A figure with its unit."""
    if value is None or isinstance(value, str):
        return UNKNOWN if value is None else value
    match unit:
        case "ns":
            return _time(value)
        case "share":
            return f"{value * 100:.1f} %"
        case "bytes":
            return bytes_text(value)
        case "rate":
            return rate_text(value)
    return f"{value:g}"


def signed_text(change: float, unit: Unit) -> str:
    """A change with its sign and unit; of shares in percentage points."""
    sign = "-" if change < 0 else "+"
    if unit == "share":
        return f"{sign}{abs(change) * 100:.1f} pp"
    return sign + value_text(abs(change), unit)


def _time(time_ns: float) -> str:
    for name, nanoseconds in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if abs(time_ns) >= nanoseconds:
            return f"{time_ns / nanoseconds:.4g} {name}"
    return f"{time_ns:.0f} ns"


def _ranks(ranks: Sequence[int]) -> str:
    if len(ranks) == 1:
        return f"{rank_name(ranks[0])}"
    named = ", ".join(map(rank_label, ranks[:_MOST_RANKS]))
    more = len(ranks) - _MOST_RANKS
    return f"ranks {named}" + (f" and {more} more" if more > 0 else "")


def _stages(finding: GateFinding) -> str:
    """Which stages, where there are few."""
    if not finding.stages or len(finding.stages) > _MOST_RANKS or len(finding.ranks) > 1:
        return ""
    return f" ({_stage_words(finding.stages)})"


def _stage_words(stages: Sequence[int]) -> str:
    return f"stage{'s' * (len(stages) > 1)} {', '.join(map(str, stages))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
