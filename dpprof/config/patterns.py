"""Reads the user's own patterns for kinds, ``[[kinds]]``."""

from __future__ import annotations

from typing import Any

from dpprof.config.settings import KindPattern
from dpprof.config.values import a_text, check_known, one_of, wrong
from dpprof.tables.kinds import EVIDENCE_FIELDS, KINDS

SECTION = "kinds"
LONGEST_PATTERN = 500
"""Characters; names that communicate need far fewer, and compiling takes longer with length."""

MOST_PATTERNS = 1000

_KEYS = ("name", "pattern", "kind", "where")


def read_patterns(value: Any, origin: str) -> tuple[KindPattern, ...]:
    """The patterns in the order of the file, in which they are asked."""
    if not isinstance(value, list):
        raise wrong(f"{origin}: {SECTION}", f"is a list; write each pattern under [[{SECTION}]]")
    if len(value) > MOST_PATTERNS:
        raise wrong(f"{origin}: {SECTION}", f"more than {MOST_PATTERNS} patterns; join some with |")
    return tuple(
        _pattern(one, f"{origin}: {SECTION}[{number}]") for number, one in enumerate(value)
    )


def _pattern(value: Any, origin: str) -> KindPattern:
    if not isinstance(value, dict):
        raise wrong(origin, f"{value!r} is not a table with {', '.join(_KEYS)}")
    check_known(value, _KEYS, origin, "key")
    for key in ("pattern", "kind"):
        if key not in value:
            raise wrong(origin, f"{key!r} is missing; a pattern has {', '.join(_KEYS)}")
    pattern = a_text(value["pattern"], f"{origin}.pattern")
    _compile(pattern, f"{origin}.pattern")
    return KindPattern(
        name=a_text(value.get("name", pattern), f"{origin}.name"),
        pattern=pattern,
        kind=one_of(KINDS, value["kind"], f"{origin}.kind"),
        where=one_of(EVIDENCE_FIELDS, value.get("where", "name"), f"{origin}.where"),
        origin=origin,
    )


def _compile(pattern: str, origin: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise wrong(
            origin,
            f"{len(pattern)} characters, more than {LONGEST_PATTERN}; write several patterns",
        )
    import regex

    try:
        regex.compile(pattern, regex.V0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise wrong(origin, f"{pattern!r} is not a regular expression ({error})") from error
