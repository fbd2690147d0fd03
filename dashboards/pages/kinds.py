"""The page of kinds: what each activity was taken for and why, above all what no rule knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.analysis.model import ExplainedKind, KindReport
from dpprof.dashboards.data.kinds import kinds_of, suspects, total_ns, unmatched
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.kinds import kind_bars
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import columns, note, notes, panel
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.dashboards.parts.tile import Tile, tiles
from dpprof.dashboards.view.compared_runs import compared
from dpprof.dashboards.view.page import Context, Page
from dpprof.errors import DpprofError
from dpprof.reporters.blocks.units import TimeUnit, share_text, time_unit
from dpprof.reporters.diff.kernel_names import shown_names
from dpprof.reporters.report.kinds import kind_sections, kind_warnings, short_name
from dpprof.tables.kinds import KINDS

if TYPE_CHECKING:
    from dash.development.base_component import Component

_SHOW, _KIND = "show", "kind"
_SHOWN = {"all": "all", "unmatched": "known by no rule", "suspect": "perhaps communication"}
_MOST_RUNS = 3
_MOST_ROWS = 1000
_LONGEST_NAME = 70
_WIDTH = 130
_PROPOSED = 3


def layout(context: Context) -> list[Component]:
    """For each run what its activities were taken for; the names as the view chooses."""
    all_runs = compared(context)
    return [
        *map(note, all_runs.left_out(_MOST_RUNS)),
        *[one for run in all_runs.some(_MOST_RUNS) for one in _run(context, run)],
    ]


def _run(context: Context, run: LibraryRun) -> list[Component]:
    try:
        report = kinds_of(context.library, run)
    except DpprofError as error:
        return [panel(f"{run.name}: kinds", note(str(error), warning=True), id=f"kinds-{run.id}")]
    unit = time_unit(max((one.total_ns for one in report.kinds), default=None))
    bars = graph(kind_bars(report, context.theme, unit), f"kinds-bars-{run.id}", "Time by kind")
    rules = section_table(next(iter(kind_sections(report, _WIDTH))), f"kinds-rules-{run.id}")
    return [
        panel(
            f"{run.name}: kinds",
            _tiles(run, report, unit),
            columns(bars, rules),
            *notes(kind_warnings(report)),
            id=f"kinds-{run.id}",
            about="All activities in the traces, in dropped steps too; hatched: known by no rule.",
        ),
        _names(context, run, report, unit),
    ]


def _tiles(run: LibraryRun, report: KindReport, unit: TimeUnit) -> Component:
    whole = total_ns(report.kinds)
    missed, doubtful = unmatched(report), suspects(report)
    share = total_ns(missed) / whole if whole else None
    several = [
        ("activities", f"{sum(one.activities for one in report.kinds):,}", "On the device."),
        ("time", unit.full(whole), "All activities of all ranks together, one after the other."),
        ("names", f"{len({one.name for one in report.kinds}):,}", "Different activities."),
        (
            "known by no rule",
            share_text(share),
            "Share of the time of what no rule knows; it is taken for computation.",
        ),
        (
            "perhaps communication",
            unit.full(total_ns(doubtful)),
            "Known by no rule, on a lane that mostly communicates: give these a pattern.",
        ),
    ]
    return tiles(
        [
            Tile(
                id=f"kinds-{run.id}-{label.replace(' ', '-')}",
                label=label,
                value=value,
                about=about,
            )
            for label, value, about in several
        ]
    )


def _names(context: Context, run: LibraryRun, report: KindReport, unit: TimeUnit) -> Component:
    from dash import html

    found = _chosen(context, report)
    heads = [
        Column("name", "As in the trace; without arguments where it is long.", False),
        Column("kind", "What it is taken for.", False),
        Column("rule", "What decided it.", False),
        Column("launched in", "Collective, group, annotation or call around it.", False),
        Column("ranks"),
        Column("activities"),
        Column(f"time, {unit.name}", "All ranks and steps together."),
        Column("share", "Of the time of all activities."),
    ]
    whole = total_ns(report.kinds) or 1
    shown = shown_names([one.name for one in found[:_MOST_ROWS]], _LONGEST_NAME)
    rows = [
        _row(number, one, shown[one.name], (unit, len(report.ranks), whole))
        for number, one in enumerate(found[:_MOST_ROWS])
    ]
    left = found[_MOST_ROWS:]
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in report.kinds)]
    return panel(
        f"{run.name}: names",
        html.Div(
            [
                choices(context, _SHOW, "Show", list(_SHOWN.items())),
                choices(context, _KIND, "Kind", [("", "every"), *((kind, kind) for kind in kinds)]),
            ],
            className="tools",
        ),
        table(f"kinds-names-{run.id}", heads, rows) if rows else note("none"),
        *([note(f"and {len(left):,} more, {unit.full(total_ns(left))} together")] if left else []),
        *_proposal(report),
        id=f"kinds-names-panel-{run.id}",
    )


def _chosen(context: Context, report: KindReport) -> Sequence[ExplainedKind]:
    show, kind = context.option(_SHOW, "all"), context.option(_KIND)
    rows = {"all": report.kinds, "unmatched": unmatched(report), "suspect": suspects(report)}
    return [one for one in rows[show] if kind in ("", one.kind)]


def _row(number: int, one: ExplainedKind, shown: str, of: tuple[TimeUnit, int, int]) -> TableRow:
    from dash import html

    unit, ranks, whole = of
    around = filter(None, (one.collective, one.group, one.annotation, one.call))
    return TableRow(
        str(number),
        [
            html.Span(shown, title=one.name, className="name", **{"data-whole": ""}),
            one.kind,
            one.rule,
            short_name(", ".join(around), _LONGEST_NAME // 2),
            "all" if len(one.ranks) == ranks else f"{len(one.ranks)}",
            f"{one.activities:,}",
            unit.text(one.total_ns),
            share_text(one.total_ns / whole),
        ],
        emphasis=one.suspect,
    )


def _proposal(report: KindReport) -> list[Component]:
    """What to write into ``dpprof.toml`` where something is in doubt."""
    from dash import html

    names = dict.fromkeys(short_name(one.name, _LONGEST_NAME) for one in suspects(report))
    if not names:
        return []
    rules = [
        f"[[kinds]]\npattern = {_quoted(re.escape(name.removeprefix('...')))}\n"
        'kind = "all_to_all"  # or whatever it is'
        for name in list(names)[:_PROPOSED]
    ]
    return [
        note("If these communicate, tell dpprof so in dpprof.toml and start the dashboard again:"),
        html.Pre("\n\n".join(rules), **{"data-testid": "kinds-proposal"}),
    ]


def _quoted(text: str) -> str:
    """A TOML string that takes backslashes as they are, where there is such a one."""
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


page = Page(
    key="kinds",
    title="Kinds",
    order=75,
    layout=layout,
    options={_SHOW: tuple(_SHOWN), _KIND: ("", *KINDS)},
    about="What each activity was taken for and why, and what no rule knows.",
)
