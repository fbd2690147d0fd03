"""Asks the user's own patterns for kinds, which may take for ever, within a time limit.

A regular expression such as ``(a+)+$`` needs a time that is exponential in the length of a name,
and Python's `re` cannot be stopped from within. Patterns with at most one repetition, of one
character, need at most quadratic time and are asked here; all others are asked in a process of
their own that is stopped at the limit. Every pattern is asked once per distinct name.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence

from dpprof.config.settings import KindPattern
from dpprof.errors import DpprofError
from dpprof.trace.activities.kind_rules import KindClues, KindRule, Verdict

LONGEST_TEXT = 2000
"""Characters of a name that patterns are asked of; no known kernel has more."""

LIMIT_SECONDS = 10.0
"""For all patterns that may be slow on all names of a trace, which need milliseconds."""

# Reads [[[pattern, [text, ...]], ...]] and writes which texts match, rule by rule, so that the
# one that takes for ever is known.
_PROGRAM = """
import json, re, sys
for pattern, texts in json.load(sys.stdin):
    search = re.compile(pattern).search
    print(json.dumps([i for i, text in enumerate(texts) if search(text)]), flush=True)
"""


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
    slow = [rule for rule in rules if not is_quick(rule.pattern)]
    found = iter(_in_a_process(slow, texts, limit_seconds))
    return [
        frozenset(text for text in texts[rule.where] if re.search(rule.pattern, text))
        if is_quick(rule.pattern)
        else next(found)
        for rule in rules
    ]


def is_quick(pattern: str) -> bool:
    """Whether the pattern can be seen to need little time: one repetition, not of a group."""
    plain = re.sub(r"\\\D|\(\?[:aiLmsux-]+:?\)?", "_", pattern)  # escapes, flags, plain groups
    return len(re.findall(r"[*+?{]", plain)) <= 1 and not re.search(r"\)[*+?{]|\\\d", plain)


def _in_a_process(
    rules: Sequence[KindRule], texts: dict[str, list[str]], limit_seconds: float
) -> list[frozenset[str]]:
    if not rules:
        return []
    asked = json.dumps([(rule.pattern, texts[rule.where]) for rule in rules])
    try:
        answer = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=asked,
            capture_output=True,
            text=True,
            encoding="ascii",
            timeout=limit_seconds,
            check=True,
        ).stdout
    except subprocess.TimeoutExpired as error:
        answered = (error.stdout or b"").count(b"\n")
        raise DpprofError(_too_slow(rules[min(answered, len(rules) - 1)], limit_seconds)) from error
    return [
        frozenset(texts[rule.where][position] for position in json.loads(line))
        for rule, line in zip(rules, answer.splitlines(), strict=True)
    ]


def _too_slow(rule: KindRule, limit_seconds: float) -> str:
    return (
        f"kind rule {rule.name!r}: {rule.pattern!r} takes longer than {limit_seconds:g} s on the "
        "names of the trace; leave out repetitions within repetitions"
    )
