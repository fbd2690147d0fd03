"""The state of a view, which is its URL: what is shown, of which runs, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from dpprof.dashboards.view.ranges import ranges_text, read_ranges

COLORS = ("operation", "kind", "component")
THEMES = ("light", "dark")
SELECTED = ("bubble", "event", "slot")

_LONGEST_QUERY = 8000
_LONGEST_FIND = 200
_LARGEST = 2**62
_MOST_RANKS = 65_536
_PLAIN = re.compile(r"[\w.,:;~ +&-]{0,200}", re.ASCII)

Options = Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """A bubble, an event or a slot of a rank, by when it starts in the step."""

    what: str  # one of SELECTED
    run: str
    rank: int
    at_ns: int
    number: int = 0  # among the events that start then

    def __str__(self) -> str:
        return f"{self.what}:{self.run}:{self.rank}:{self.at_ns}:{self.number}"


@dataclass(frozen=True)
class Area:
    """A span of the step, in nanoseconds from its start, on some ranks of runs."""

    start_ns: int
    end_ns: int
    ranks: tuple[tuple[str, tuple[int, ...]], ...]

    def __str__(self) -> str:
        of_runs = [f"{run}:{ranges_text(ranks)}" for run, ranks in self.ranks]
        return ":".join([f"{self.start_ns}-{self.end_ns}", *of_runs])


@dataclass(frozen=True)
class ViewState:
    """Everything that a view shows; two equal states show the same picture.

    Empty means the default: all runs, no baseline, the first used step, the whole step, all ranks.
    `time_range` is ``[start, end)`` in nanoseconds from the start of the step window. `options`
    are the page's own. `area` is what is asked about in the timeline, `find` what is searched for.
    """

    page: str = ""
    runs: tuple[str, ...] = ()
    baseline: str = ""
    step: int | None = None
    time_range: tuple[int, int] | None = None
    ranks: tuple[int, ...] = ()
    color: str = COLORS[0]
    select: Selection | None = None
    area: Area | None = None
    find: str = ""
    theme: str = ""
    options: Options = field(default_factory=dict)

    def url(self, **changes: Any) -> str:
        """The path and query that restore this state, with fields changed where given."""
        state = replace(self, **changes) if changes else self
        query = state.search()
        return f"/{state.page}?{query}" if query else f"/{state.page}"

    def search(self) -> str:
        """The query alone, without its question mark; defaults are left out."""
        values = self.search_values()
        return urlencode({key: text for key, text in values.items() if text}, safe=",:-~")

    def search_values(self) -> dict[str, str]:
        """Every part of the query as text; empty for a default."""
        values = {
            "runs": ",".join(self.runs),
            "baseline": self.baseline,
            "step": "" if self.step is None else str(self.step),
            "t": "-".join(map(str, self.time_range or ())),
            "ranks": ranges_text(self.ranks),
            "color": "" if self.color == COLORS[0] else self.color,
            "select": "" if self.select is None else str(self.select),
            "area": "" if self.area is None else str(self.area),
            "find": self.find,
            "theme": self.theme,
        }
        return values | {f"o.{name}": value for name, value in sorted(self.options.items())}

    def __hash__(self) -> int:
        return hash(self.url())


@dataclass(frozen=True)
class Known:
    """What a URL may name: pages with their own options, and runs.

    `options` has for each page the options it takes, with the values they may have (empty: any
    plain text).
    """

    options: Mapping[str, Mapping[str, Sequence[str]]]
    runs: Sequence[str]


def parse(path: str, search: str, known: Known) -> tuple[ViewState, list[str]]:
    """The state that a URL asks for, and what of it is not understood, in words.

    Nothing of a URL is ever opened as a file or shown as markup; whatever is not known gives the
    default.
    """
    problems: list[str] = []
    page = path.strip("/").replace("-", "_")
    if page and page not in known.options:
        problems.append(f"there is no page {page[:40]!r}; this is the first one")
        page = ""
    page = page or next(iter(known.options), "")
    if len(search) > _LONGEST_QUERY:
        problems.append("the address is too long to be one of this dashboard; it is ignored")
        search = ""
    given: dict[str, str] = {}
    for key, text in parse_qsl(search.lstrip("?"), keep_blank_values=True, errors="replace"):
        given.setdefault(key, text)
    values: dict[str, Any] = {}
    for key, text in given.items():
        if not key.startswith("o."):
            _take(values, key, text, (known, problems))
    values["options"] = _options(given, known.options.get(page, {}), problems)
    return ViewState(page=page, **values), problems


def _take(values: dict[str, Any], key: str, text: str, context: tuple[Known, list[str]]) -> None:
    known, problems = context
    reader = _READERS.get(key)
    if reader is None:
        problems.append(f"the address has a part {key[:40]!r} that is not known; it is ignored")
        return
    name, read = reader
    try:
        values[name] = read(text, known)
    except ValueError as error:
        problems.append(f"{key}={text[:60]}: {error}; the default is shown")


def _options(
    given: Mapping[str, str], allowed: Mapping[str, Sequence[str]], problems: list[str]
) -> Options:
    options = {}
    for key, text in given.items():
        name = key.removeprefix("o.")
        if name == key:
            continue
        if name not in allowed:
            problems.append(f"this page has no option {name[:40]!r}; it is ignored")
        elif (allowed[name] and text not in allowed[name]) or not _PLAIN.fullmatch(text):
            problems.append(f"{name}={text[:60]}: not one of its values; the default is shown")
        elif text:
            options[name] = text
    return options


def _runs(text: str, known: Known) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    found = tuple(name for name in names if name in known.runs)
    if len(found) < len(names):
        raise ValueError(f"the runs here are {', '.join(known.runs)}")
    return found


def _run(text: str, known: Known) -> str:
    if text and text not in known.runs:
        raise ValueError(f"the runs here are {', '.join(known.runs)}")
    return text


def _number(text: str, _: Known | None = None) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:20]) < _LARGEST and len(text) <= 19):
        raise ValueError("not a number")
    return int(text)


def _step(text: str, _: Known) -> int | None:
    return _number(text) if text else None


def _time_range(text: str, _: Known) -> tuple[int, int] | None:
    if not text:
        return None
    first, dash, last = text.partition("-")
    if not dash or _number(first) >= _number(last):
        raise ValueError("not a time range START-END in nanoseconds")
    return _number(first), _number(last)


def _ranks(text: str, _: Known) -> tuple[int, ...]:
    return read_ranges(text, _MOST_RANKS)


def _one_of(values: Sequence[str]) -> Callable[[str, Known], str]:
    def read(text: str, _: Known) -> str:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return text

    return read


def _selection(text: str, known: Known) -> Selection | None:
    if not text:
        return None
    parts = text.split(":")
    if len(parts) != 5 or parts[0] not in SELECTED:
        raise ValueError("nothing that can be selected")
    what, run, *numbers = parts
    rank, at_ns, number = map(_number, numbers)
    return Selection(what, _run(run, known), rank, at_ns, number)


def _area(text: str, known: Known) -> Area | None:
    if not text:
        return None
    span, *parts = text.split(":")
    limits = _time_range(span, known)
    if limits is None or not parts or len(parts) % 2:
        raise ValueError("not an area START-END:RUN:RANKS")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    ranks = tuple((_run(run, known), _ranks(numbers, known)) for run, numbers in pairs)
    if not all(run and numbers for run, numbers in ranks):
        raise ValueError("not an area START-END:RUN:RANKS")
    return Area(*limits, ranks)


def _find(text: str, _: Known) -> str:
    if len(text) > _LONGEST_FIND:
        raise ValueError(f"longer than {_LONGEST_FIND} characters")
    return text.strip()


_READERS: Mapping[str, tuple[str, Callable[[str, Known], Any]]] = {
    "runs": ("runs", _runs),
    "baseline": ("baseline", _run),
    "step": ("step", _step),
    "t": ("time_range", _time_range),
    "ranks": ("ranks", _ranks),
    "color": ("color", _one_of(COLORS)),
    "select": ("select", _selection),
    "area": ("area", _area),
    "find": ("find", _find),
    "theme": ("theme", _one_of(THEMES)),
}
