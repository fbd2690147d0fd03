"""Reads the rules of a gate: when it fails, as text.

rule      = metric condition {"and" condition}
condition = (">" | ">=" | "<" | "<=" | "==") value
value     = number [unit] | number "%" "step"   12%  200us  3.5GiB  8  0.5% step
          | ("+" | "-") value                   +5%  +200us  -3%    against the baseline
          | number "x" ("ideal" | "baseline")   1.2x ideal
          | word                                dualpipe
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

from dpprof.analysis.metrics import IDEAL
from dpprof.errors import DpprofError
from dpprof.gate.names import JOB_FIGURES, RANK_FIGURES, MetricName, read_name
from dpprof.gate.rule_text import RuleText, Token
from dpprof.statistics.figure import Unit

Operator = Literal[">", ">=", "<", "<=", "=="]
Meaning = Literal["value", "floor", "change", "relative", "factor", "word"]
Reference = Literal["baseline", "ideal"]

_OPERATORS = (">", ">=", "<", "<=", "==")
_UNITS: dict[str, tuple[Unit, float]] = {
    "ns": ("ns", 1),
    "us": ("ns", 1e3),
    "\u00b5s": ("ns", 1e3),  # the micro sign, and the Greek letter
    "\u03bcs": ("ns", 1e3),
    "ms": ("ns", 1e6),
    "s": ("ns", 1e9),
    "%": ("share", 0.01),
    "pp": ("share", 0.01),
    "B": ("bytes", 1),
    **{f"{prefix}B": ("bytes", 1000.0**power) for power, prefix in enumerate("kMGT", 1)},
    **{f"{prefix}iB": ("bytes", 1024.0**power) for power, prefix in enumerate("KMGT", 1)},
}
_EXAMPLES: dict[Unit, str] = {
    "ns": "200us, 1.5ms, 3% step, or +5% against the baseline",
    "share": "12%",
    "bytes": "64MiB or 3.5GiB",
    "rate": "20000",
    "count": "8",
    "text": "dualpipe",
}


@dataclass(frozen=True)
class Condition:
    """One comparison of a rule.

    `meaning` says what is compared: the ``value`` itself, its ``change`` or ``relative`` change
    against the reference, the value over the reference (``factor``), the size of the difference
    (``floor``), or a ``word``. `amount` is in nanoseconds, bytes, shares 0..1, or plain; with
    `of_step` it is a part of the step time.
    """

    operator: Operator
    meaning: Meaning
    amount: float = 0.0
    word: str = ""
    of_step: bool = False


@dataclass(frozen=True)
class Rule:
    """A rule: it is broken where all its conditions hold; one with ``==`` where it does not.

    `reference` is what it compares with, None for a limit on the value itself.
    """

    text: str
    metric: MetricName
    conditions: tuple[Condition, ...]
    reference: Reference | None = None


class _Found(NamedTuple):
    """A condition where it is written, and what it compares with by itself."""

    token: Token
    condition: Condition
    reference: Reference | None = None


def read_rule(text: str, origin: str = "") -> Rule:
    """The rule that `text` says; raises `DpprofError` that points at what is wrong in it."""
    source = RuleText(text, origin)
    token = source.take("word", "a metric, such as bubble_share or any.exposed_ns")
    try:
        metric = read_name(token.text)
    except DpprofError as error:
        raise source.wrong(token, str(error)) from error
    found = [_condition(source, metric)]
    while source.peek().kind != "end":
        if not source.skip("and"):
            raise source.wrong(source.peek(), "not known here; write 'and', or end the rule")
        found.append(_condition(source, metric))
    return _checked(source, metric, found)


def read_rules(texts: Sequence[str], origin: str = "") -> list[Rule]:
    """Every rule, in order."""
    return [read_rule(text, origin) for text in texts]


def _condition(source: RuleText, metric: MetricName) -> _Found:
    token = source.take("operator", "a comparison: > >= < <= ==")
    if token.text not in _OPERATORS:
        known = f"known: {' '.join(_OPERATORS)}; what is required is written with =="
        raise source.wrong(token, f"no comparison {token.text!r}; {known}")
    operator = cast("Operator", token.text)
    if metric.unit != "text":
        return _number(source, metric, _Found(token, Condition(operator, "value")))
    if operator != "==":
        raise source.wrong(token, f"{metric.text} is a word; it can be required with ==")
    if source.peek().kind == "end":
        raise source.wrong(source.peek(), f"expected a word, such as {_EXAMPLES['text']}")
    return _Found(token, Condition(operator, "word", word=_word(source)))


def _word(source: RuleText) -> str:
    """The rest of the rule: ``1f1b`` is no number, and a device's name may be several words."""
    start = source.peek()
    word = source.rest()
    if re.search(r"[<>=]|\band\b", word):
        raise source.wrong(start, "a required word (==) stands alone; write two rules")
    return word


def _number(source: RuleText, metric: MetricName, begun: _Found) -> _Found:
    """The rest of a condition that begins with a number."""
    number = source.take("number", f"a number, such as {_EXAMPLES[metric.unit]}")
    signed = number.text[0] in "+-"
    amount = float(number.text.replace("_", ""))
    reference: Reference | None = "baseline" if signed else None
    change = replace(begun.condition, meaning="change" if signed else "value")
    if source.skip("x"):
        named = source.take("word", "'ideal' or 'baseline'")
        if named.text not in ("ideal", "baseline") or signed:
            raise source.wrong(named, "times what? write 1.2x ideal or 1.2x baseline")
        factor = replace(begun.condition, meaning="factor", amount=amount)
        return begun._replace(condition=factor, reference=cast("Reference", named.text))
    unit = source.peek()
    if unit.text == "%" and (signed or metric.unit == "ns"):
        source.skip("%")
        if source.skip("step"):
            _need(source, metric, "ns", unit)
            of_step = replace(change, amount=amount / 100, of_step=True)
            return begun._replace(condition=of_step, reference=reference)
        if not signed:
            raise source.wrong(unit, f"{metric.text} is a time; write {_EXAMPLES['ns']}")
        relative = replace(change, meaning="relative", amount=amount / 100)
        return begun._replace(condition=relative, reference=reference)
    scaled = replace(change, amount=amount * _scale(source, metric))
    if metric.unit == "share" and abs(scaled.amount) > 1:
        hint = f", or 100%; write {number.text}{'pp' if signed else '%'}"
        hint = "" if unit.text in _UNITS else hint
        raise source.wrong(number, f"a share is at most 1{hint}")
    return begun._replace(condition=scaled, reference=reference)


def _scale(source: RuleText, metric: MetricName) -> float:
    """The scale of the unit that follows, if one does."""
    token = source.peek()
    if token.kind != "word" or token.text == "and":
        return 1.0
    if not source.skip(*_UNITS):
        raise source.wrong(token, f"unknown unit {token.text!r}; write {_EXAMPLES[metric.unit]}")
    unit, scale = _UNITS[token.text]
    _need(source, metric, unit, token)
    return scale


def _need(source: RuleText, metric: MetricName, unit: Unit, token: Token) -> None:
    if metric.unit != unit:
        example = _EXAMPLES[metric.unit]
        raise source.wrong(token, f"{token.text!r} does not fit {metric.text}; write {example}")


def _checked(source: RuleText, metric: MetricName, found: Sequence[_Found]) -> Rule:
    references = {one.reference for one in found if one.reference is not None}
    if len(references) > 1:
        raise source.wrong(found[-1].token, "both ideal and baseline; write two rules")
    reference = references.pop() if references else None
    if reference == "ideal" and f"{IDEAL}{metric.figure}" not in _names(metric):
        known = ", ".join(name for name in _names(metric) if f"{IDEAL}{name}" in _names(metric))
        raise source.wrong(found[0].token, f"no ideal of {metric.text}; there is one of {known}")
    for one in found:
        _check(source, one, reference, alone=len(found) == 1)
    conditions = tuple(
        replace(one.condition, meaning="floor")
        if reference and one.reference is None
        else one.condition
        for one in found
    )
    return Rule(source.text.strip(), metric, conditions, reference)


def _names(metric: MetricName) -> dict[str, Unit]:
    return JOB_FIGURES if metric.scope == "job" else RANK_FIGURES


def _check(source: RuleText, one: _Found, reference: Reference | None, *, alone: bool) -> None:
    operator = one.condition.operator
    if operator == "==" and one.reference:
        raise source.wrong(one.token, "a change cannot be required; write > or <")
    if operator == "==" and not alone:
        raise source.wrong(one.token, "a required value (==) stands alone; write two rules")
    if reference and one.reference is None and operator not in (">", ">="):
        raise source.wrong(one.token, "a floor on the change is written 'and > AMOUNT'")
    down = one.condition.amount < 0
    if one.condition.meaning in ("change", "relative") and down != operator.startswith("<"):
        raise source.wrong(one.token, "a limit on growth is '> +5%', one on decline '< -5%'")
