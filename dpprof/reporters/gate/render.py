"""A gate's result as a document and in every format: the verdict first, then every rule."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dpprof.evidence.evidence import others, texts
from dpprof.gate.result import Check, GateResult, RuleResult
from dpprof.reporters.blocks.cells import Cell, Section, View
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.blocks.slow_slots import slow_words
from dpprof.reporters.blocks.units import UNKNOWN
from dpprof.reporters.formats.registry import document_format, format_names
from dpprof.reporters.gate.github import annotation_lines
from dpprof.reporters.gate.junit import junit_text
from dpprof.reporters.gate.sentences import (
    change_text,
    finding_words,
    headline,
    largest_bubble_words,
    notes,
    rule_words,
    signed_text,
    status_word,
    unsure,
    value_text,
)
from dpprof.reporters.report.sentences import source_words
from dpprof.system.inputs import encode_json
from dpprof.tables.devices import rank_label

_STYLES = {
    "passed": "green",
    "failed": "red",
    "missing": "red",
    "cannot_tell": "red",
    "not_significant": "yellow",
    "skipped": "dim",
}


def gate_document(result: GateResult) -> Document:
    """The verdict, who is behind it, and a row for every rule."""
    answer = [finding_words(one) for one in result.findings[1:]]  # the title has the first
    answer += map(slow_words, result.slow_slots)
    if result.largest_bubble is not None and not result.findings:
        answer.append(largest_bubble_words(result.largest_bubble))
    return Document(
        title=headline(result),
        about=tuple(_about(result)),
        answer=tuple(answer),
        blocks=(_rules(result),),
        warnings=(*notes(result), *others(result.warnings, result.evidence)),
        evidence=tuple(texts(result.evidence)),
        style=_title_style(result),
    )


def _title_style(result: GateResult) -> str:
    if not result.passed:
        return _STYLES["failed"]
    return _STYLES["not_significant" if unsure(result) else "passed"]


def _about(result: GateResult) -> list[str]:
    lines = [f"run: {', '.join(result.runs)}; {_steps(result.steps)}"]
    if result.baseline is not None:
        lines.append(f"baseline: {result.baseline}; {_steps(result.baseline_steps)}")
    if result.run_spread:
        lines.append(_assumed(result))
    if any(rule.default for rule in result.rules):
        lines.append("no rules given; the default rules were used")
    return lines + ([source_words(result)] if result.source != "captured" else [])


def _assumed(result: GateResult) -> str:
    spread = f"{result.run_spread or 0:.2%} of the step"
    if min(len(result.steps), len(result.baseline_steps)) > 1:
        return f"means of runs are taken to vary by at least {spread}; --run-spread sets it"
    return (
        f"one run on a side: means of runs are taken to vary by {spread}; --repeat measures it, "
        "--run-spread sets it"
    )


def _steps(steps: list[int]) -> str:
    total = f"{sum(steps)} step{'s' * (sum(steps) != 1)}"
    return total if len(steps) == 1 else f"{total} in {len(steps)} runs"


def _rules(result: GateResult) -> Section:
    return Section(
        "Rules (a rule says when to fail; times per step, the worst rank of each)",
        ("verdict", "rule", "rank", "value", "reference", "change", "95%", "limit"),
        tuple(
            (Cell(status_word(rule.status), style=_STYLES[rule.status]), *map(Cell, _row(rule)))
            for rule in result.rules
        ),
        text_columns=2,
    )


def _row(rule: RuleResult) -> tuple[str, ...]:
    check = rule.checks[0]
    more = sum(one.status == check.status for one in rule.checks[1:])
    also = (
        f" and {more} more" if more and check.status in ("failed", "missing", "cannot_tell") else ""
    )
    return (
        rule.rule,
        "" if check.rank is None else f"{rank_label(check.rank)}{also}",
        value_text(check.value, rule.unit),
        "" if check.reference is None else value_text(check.reference, rule.unit),
        "" if check.change is None else change_text(check, rule.unit),
        _interval(check, rule),
        "" if check.limit is None else value_text(check.limit, rule.unit),
    )


def _interval(check: Check, rule: RuleResult) -> str:
    """The change with 95 % confidence, in per cent of the reference; or the value."""
    if check.interval is None:
        return UNKNOWN if check.reason and check.change is not None else ""
    if check.reference is None:
        return " to ".join(value_text(end, rule.unit) for end in check.interval)
    if not check.reference:
        return " to ".join(signed_text(end, rule.unit) for end in check.interval)
    low, high = (end / abs(check.reference) * 100 for end in check.interval)
    return f"{low:+.1f} to {high:+.1f} %".replace("-0.0 ", "+0.0 ")


def _json(result: GateResult, view: View) -> str:
    """The result with its sentences: ``headline``, and ``message`` of each rule and finding."""
    form = msgspec.to_builtins(result)
    for plain, rule in zip(form["rules"], result.rules, strict=True):
        plain["message"] = rule_words(rule)
    for plain, finding in zip(form["findings"], result.findings, strict=True):
        plain["message"] = finding_words(finding)
    form = {"schema_version": form.pop("schema_version"), "headline": headline(result)} | form
    return msgspec.json.format(encode_json(form), indent=2).decode()


_OWN: dict[str, Callable[[GateResult, View], str]] = {
    "json": _json,
    "junit": lambda result, view: junit_text(result),
    "github": lambda result, view: annotation_lines(result),
}
"""Formats that are not those of every document."""

GATE_FORMATS = (*format_names(), "junit", "github")
"""Names of the formats, the default first."""


def render_gate(
    result: GateResult,
    format: str,
    *,
    color: bool = False,
    width: int = 100,
    unicode: bool = True,
) -> str:
    """A result as text in one of `GATE_FORMATS`; `width`, `color`, `unicode` matter to tables."""
    view = View(color, width, unicode)
    if format in _OWN:
        return _OWN[format](result, view)
    return document_format(format).text(gate_document(result), view)
