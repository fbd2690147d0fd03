"""Which rule gave which activities their kind, as sections: rules, matched names, the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import structs

from dpprof.analysis.model import ExplainedKind, KindReport
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import TimeUnit, time_unit

MOST_NAMES = 30
"""Rows of a table of names; those that took most time come first, the rest are counted."""

_SHORTEST_NAME = 24
_OTHER_COLUMNS = 72  # characters that the columns beside the name take at most
_LONGEST_CONTEXT = 22
_LONGEST_READ = 2000
_NO_CONTEXT = dict.fromkeys(("collective", "annotation", "call", "group"), "")
_RETURN_TYPE = re.compile(r"(?:void|std::enable_if<.*?>::type) ")
_ARGUMENTS = re.compile(r"(?<=\w)[<(]")


class _KindRow(NamedTuple):
    """Activities that look alike to people: C++ names without their template arguments."""

    name: str
    kind: str
    rule: str
    context: str
    suspect: bool


def kind_sections(report: KindReport, width: int) -> Iterator[Section]:
    """The tables; names are cut to what fits into `width` characters per line."""
    unit = time_unit(max((one.total_ns for one in report.kinds), default=None))
    longest = max(width - _OTHER_COLUMNS, _SHORTEST_NAME)
    yield _rules(report.kinds, unit)
    yield _matched([one for one in report.kinds if one.matched], unit, longest)
    others = [one for one in report.kinds if not one.matched]
    yield _others(others, unit, longest + _LONGEST_CONTEXT)


def kind_warnings(report: KindReport) -> list[str]:
    """What no rule matched although it may well communicate."""
    names = dict.fromkeys(one.name[:80] for one in report.kinds if one.suspect)
    return [
        f"{name}: no rule matches, and its name or its lane looks like communication; give it a "
        "pattern under [[kinds]] in dpprof.toml if it communicates"
        for name in names
    ]


def short_name(name: str, longest: int) -> str:
    """A kernel's name without C++ arguments; of a long qualified one the end, which says most."""
    start = _RETURN_TYPE.match(name, 0, _LONGEST_READ)
    text = name[start.end() :] if start else name
    text = text.replace("(anonymous namespace)::", "")
    text = _ARGUMENTS.split(text, maxsplit=1)[0] or name
    if len(text) <= longest:
        return text
    return f"...{text[3 - longest :]}" if "::" in text else _cut(text, longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _rules(kinds: Sequence[ExplainedKind], unit: TimeUnit) -> Section:
    by_rule: dict[tuple[str, str], list[ExplainedKind]] = {}
    for one in kinds:
        by_rule.setdefault((one.kind, one.rule), []).append(one)
    rows = sorted(by_rule.items(), key=lambda item: -_time(item[1]))
    return Section(
        f"Rules ({unit.name}, all ranks)",
        ("kind", "rule", "names", "activities", "time"),
        tuple(
            (
                Cell(kind),
                Cell(rule),
                Cell(str(len({one.name for one in found}))),
                *_sums(found, unit),
            )
            for (kind, rule), found in rows
        ),
        text_columns=2,
    )


def _matched(kinds: Sequence[ExplainedKind], unit: TimeUnit, longest: int) -> Section:
    rows = _alike(kinds, longest)
    cells = tuple(
        (
            Cell(row.name),
            Cell(row.kind),
            Cell(_cut(row.rule, _LONGEST_CONTEXT)),
            Cell(row.context),
            *_sums(found, unit),
        )
        for row, found in rows[:MOST_NAMES]
    )
    return Section(
        f"Matched by a rule ({unit.name}, all ranks)",
        ("name", "kind", "rule", "launched in", "activities", "time"),
        cells,
        _left_out(rows),
        text_columns=4,
    )


def _others(kinds: Sequence[ExplainedKind], unit: TimeUnit, longest: int) -> Section:
    rows = _alike([structs.replace(one, **_NO_CONTEXT) for one in kinds], longest)
    cells = tuple(
        (Cell(row.name), Cell("communication" if row.suspect else "other"), *_sums(found, unit))
        for row, found in rows[:MOST_NAMES]
    )
    return Section(
        f"Not matched by any rule, so taken for compute ({unit.name}, all ranks)",
        ("name", "lane", "activities", "time"),
        cells,
        _left_out(rows) if rows else ("none",),
        text_columns=2,
    )


def _alike(
    kinds: Sequence[ExplainedKind], longest: int
) -> list[tuple[_KindRow, list[ExplainedKind]]]:
    groups: dict[_KindRow, list[ExplainedKind]] = {}
    for one in kinds:
        row = _KindRow(
            short_name(one.name, longest), one.kind, one.rule, _context(one), one.suspect
        )
        groups.setdefault(row, []).append(one)
    return sorted(groups.items(), key=lambda item: -_time(item[1]))


def _context(one: ExplainedKind) -> str:
    known = (one.collective, one.annotation, one.call, one.group)
    return _cut(", ".join(filter(None, known)), _LONGEST_CONTEXT)


def _time(kinds: Sequence[ExplainedKind]) -> int:
    return sum(one.total_ns for one in kinds)


def _sums(kinds: Sequence[ExplainedKind], unit: TimeUnit) -> tuple[Cell, Cell]:
    return Cell(str(sum(one.activities for one in kinds))), Cell(unit.text(_time(kinds)))


def _left_out(rows: Sequence[object]) -> tuple[str, ...]:
    more = len(rows) - MOST_NAMES
    return (f"... and {more} more; --format json has them all",) if more > 0 else ()
