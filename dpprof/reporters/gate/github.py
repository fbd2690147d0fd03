"""A gate's result for GitHub Actions: annotations, and what goes into the job's summary."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.gate.result import GateResult
from dpprof.reporters.blocks.slow_slots import slow_words
from dpprof.reporters.gate.sentences import finding_words, headline, rule_words, unsure

MOST_ANNOTATIONS = 10
"""GitHub shows no more errors of one step."""
MOST_SUMMARY_BYTES = 2**20 - 1024
"""GitHub refuses a step's summary of more than 1 MiB."""

_CUT = "\n\n... cut here: a summary has at most 1 MiB\n"
_TITLE = "dpprof gate"


def annotation_lines(result: GateResult) -> str:
    """Workflow commands: an error for the verdict and each broken rule, or a notice.

    A warning where limits may be broken, which the spread does not let be told.
    """
    if result.passed:
        level = "warning" if unsure(result) else "notice"
        text = "\n".join([headline(result), *map(rule_words, unsure(result))])
        return f"::{level} title={_property(_TITLE)}::{_data(text)}\n"
    texts = list(_errors(result))
    if len(texts) > MOST_ANNOTATIONS:
        more = len(texts) - MOST_ANNOTATIONS + 1
        texts = [*texts[: MOST_ANNOTATIONS - 1], (_TITLE, f"and {more} more broken rules")]
    return "".join(f"::error title={_property(title)}::{_data(text)}\n" for title, text in texts)


def _errors(result: GateResult) -> Iterator[tuple[str, str]]:
    slow = map(slow_words, result.slow_slots)
    yield _TITLE, "\n".join([headline(result), *map(finding_words, result.findings[1:]), *slow])
    for rule in result.rules:
        if rule.status in ("failed", "missing", "cannot_tell"):
            yield f"{_TITLE}: {rule.rule}", rule_words(rule)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary_part(markdown: str, used_bytes: int) -> str:
    """As much of a Markdown text as a summary that has `used_bytes` already can take."""
    room = MOST_SUMMARY_BYTES - used_bytes
    data = markdown.encode()
    if len(data) <= room:
        return markdown
    kept = data[: max(room - len(_CUT), 0)].decode(errors="ignore")
    return kept[: kept.rfind("\n") + 1] + _CUT if room > len(_CUT) else ""
