"""Asks the user's own patterns for kinds, which may take for ever, within a time limit.

A regular expression such as ``(a+)+$`` needs a time that is exponential in the length of a name,
and Python's `re` cannot be stopped from within; `regex` reads the same patterns and can. Every
pattern is asked once per distinct name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from dpprof.config.settings import KindPattern
from dpprof.errors import DpprofError
from dpprof.trace.activities.kind_rules import KindClues, KindRule, Verdict

LONGEST_TEXT = 2000
"""Characters of a name that patterns are asked of; no known kernel has more."""

LIMIT_SECONDS = 10.0
"""For all patterns on all names of a trace, which need milliseconds."""


def kind_rules(patterns: Iterable[KindPattern]) -> tuple[KindRule, ...]:
    """The rules of configured patterns, in their order."""
    return tuple(KindRule(one.name, one.where, one.pattern, one.kind) for one in patterns)


def ask_patterns(
    rules: Sequence[KindRule], evidence: Sequence[KindClues], limit_seconds: float = LIMIT_SECONDS
) -> list[Verdict | None]:
    """The verdict of the first of `rules` that matches, one per evidence; None where none does.

    Raises `DpprofError` that names the rule which takes longer than `limit_seconds`.
    """
    verdicts: list[Verdict | None] = [None] * len(evidence)
    if not rules or not evidence:
        return verdicts
    texts = {rule.where: _texts(rule, evidence) for rule in rules}
    matches = _matches(rules, texts, limit_seconds)
    for rule, matching in zip(rules, matches, strict=True):
        verdict = Verdict(rule.kind, rule.name)
        for position, one in enumerate(evidence):
            if verdicts[position] is None and _text(rule, one) in matching:
                verdicts[position] = verdict
    return verdicts


def asked_for(
    rules: Sequence[KindRule],
    where: str,
    texts: Iterable[str],
    limit_seconds: float = LIMIT_SECONDS,
) -> frozenset[str]:
    """The texts that any of `rules` which look at `where` matches; raises as `ask_patterns`."""
    looking = [rule for rule in rules if rule.where == where]
    if not looking:
        return frozenset()
    found = _matches(looking, {where: sorted(set(texts) - {""})}, limit_seconds)
    return frozenset().union(*found)


def _text(rule: KindRule, evidence: KindClues) -> str:
    text: str = getattr(evidence, rule.where)
    return text[:LONGEST_TEXT]


def _texts(rule: KindRule, evidence: Sequence[KindClues]) -> list[str]:
    """The distinct texts that the rule looks at; an empty text is no evidence."""
    return sorted({_text(rule, one) for one in evidence} - {""})


def _matches(
    rules: Sequence[KindRule], texts: dict[str, list[str]], limit_seconds: float
) -> list[frozenset[str]]:
    """The texts that each rule matches."""
    until = time.monotonic() + limit_seconds
    return [frozenset(_matching(rule, texts[rule.where], until, limit_seconds)) for rule in rules]


def _matching(
    rule: KindRule, texts: Sequence[str], until: float, limit_seconds: float
) -> Iterator[str]:
    import regex

    search = regex.compile(rule.pattern, regex.V0).search
    for text in texts:
        try:
            if search(text, timeout=max(until - time.monotonic(), _LEAST_SECONDS)):
                yield text
        except TimeoutError as error:
            raise DpprofError(_too_slow(rule, limit_seconds)) from error


_LEAST_SECONDS = 0.001
"""A pattern that needs less is never called slow, however late it is asked."""


def _too_slow(rule: KindRule, limit_seconds: float) -> str:
    return (
        f"kind rule {rule.name!r}: {rule.pattern!r} takes longer than {limit_seconds:g} s on the "
        "names of the trace; leave out repetitions within repetitions"
    )
