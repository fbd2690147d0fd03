"""Names of kernels cut to the width of a table, those that look alike told apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from dpprof.analysis.diff.kernel_matching import family
from dpprof.reporters.report.kinds import short_name

_FAMILIES = ("element-wise", "nccl")
_COPY = re.compile(r"(Mem\w+ \w+) \(.*\)")
_WORD = re.compile(r"[A-Za-z0-9.]")
_PUNCTUATION = re.compile(r"[<>(),]")
_LONGEST_READ = 2000


def shown_names(names: Iterable[str], longest: int) -> dict[str, str]:
    """What each name is called in a table, in at most `longest` characters.

    Names that would look alike get what they differ in behind them, or else a number.
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(shortened(name, longest), []).append(name)
    shown = {
        name: text
        for short, group in alike.items()
        for name, text in zip(group, _apart(short, group, longest), strict=True)
    }
    count = Counter(shown.values())
    doubtful = [name for name, text in shown.items() if count[text] > 1]
    return shown | {
        name: _with(shortened(name, longest), f"#{number}", longest)
        for number, name in enumerate(doubtful, start=1)
    }


def shortened(name: str, longest: int) -> str:
    """Operations stay whole, kernels lose their arguments, element-wise ones tell the functor."""
    if len(name) <= longest:
        return name
    functor = family(name)
    if functor.startswith(_FAMILIES) and len(functor) <= longest:
        return functor
    copy = _COPY.fullmatch(name, 0, _LONGEST_READ)
    text = copy[1] if copy else short_name(name, _LONGEST_READ)
    while len(text) > longest and "::" in text:
        text = text.partition("::")[2]
    return _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _apart(short: str, names: list[str], longest: int) -> list[str]:
    if len(names) == 1:
        return [short]
    whole = _differences(names)
    first = [_PUNCTUATION.split(one, maxsplit=1)[0] for one in whole]
    chosen = first if len(set(first)) == len(first) else whole
    return [_with(short, _cut(one.strip(" ,<>()"), longest // 2), longest) for one in chosen]


def _with(short: str, difference: str, longest: int) -> str:
    return f"{_cut(short, longest - len(difference) - 1)} {difference}" if difference else short


def _differences(names: list[str]) -> list[str]:
    """The part of each name from the first word in which not all are equal to the last."""
    read = [name[:_LONGEST_READ] for name in names]
    start = _common(read)
    while start and _WORD.match(read[0], start - 1):
        start -= 1
    read = [name[start:] for name in read]
    end = _common([name[::-1] for name in read])
    while end and _WORD.match(read[0], len(read[0]) - end):
        end -= 1
    return [name[: len(name) - end] for name in read]


def _common(names: list[str]) -> int:
    """Characters that all names begin with."""
    together = enumerate(zip(*names, strict=False))
    shortest = min(map(len, names))
    return next((place for place, found in together if len(set(found)) > 1), shortest)
