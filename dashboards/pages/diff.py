"""The page of the diff: what makes one run's step longer or shorter than another's, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dpprof.analysis.diff.common_ranks import has_activity
from dpprof.analysis.diff.diff_runs import RunAccounts, diff_runs
from dpprof.analysis.diff.model import Diff
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.figures.diff import (
    LEVELS,
    change_map,
    rank_rows,
    stage_rows,
    waterfall_changes,
)
from dpprof.dashboards.figures.difference import waterfall
from dpprof.dashboards.parts.badge import badge
from dpprof.dashboards.parts.changed_regions import PRESENCE, PRESENCES, region_panel
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import columns, empty, evidence_notes, note, notes, panel, tables
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.view.compared_runs import ComparedRuns, compared
from dpprof.dashboards.view.page import Context, Page
from dpprof.reporters.blocks.cells import Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.diff.render import diff_document
from dpprof.reporters.diff.sentences import unit_of_diff

if TYPE_CHECKING:
    from dash.development.base_component import Component

_RUN, _LEVEL, _ROWS = "run", "level", "rows"
_MAPS = {"rank": "ranks", "stage": "stages"}
_WIDTH = 110
_MOST_OFFERED = 12
_ALONE = "A diff needs a run and another one, the baseline."
_ONE = "One run is open: start the dashboard with both, or with --baseline RUN."


def layout(context: Context) -> list[Component]:
    """The answer, the waterfall, what changed where, and every table that it adds up from."""
    both = compared(context)
    if both.base is None:
        return [panel("Diff", empty(_ALONE), *_others(context), id="diff")]
    new = _chosen(context, both.runs)
    diff = diff_of(context.library, both.base, new)
    document = diff_document(diff, _WIDTH)
    return [
        _answer(context, both, new, document),
        _waterfall(context, diff, (new.id, both.base.id)),
        _map(context, diff),
        region_panel(context, (both.base, new), unit_of_diff(diff)),
        *_tables(document),
    ]


def _others(context: Context) -> list[Component]:
    """What the run that is chosen can be compared with, each a link."""
    from dash import dcc, html

    (own,) = context.runs[:1]
    others = [id for id in context.library.ids if id != own.id][-_MOST_OFFERED:]
    hrefs = [context.link(runs=(own.id,), baseline=id) for id in others]
    links = [
        html.Li(dcc.Link(f"{own.id} compared with {id}", href=href))
        for id, href in zip(others, hrefs, strict=True)
    ]
    return [html.Ul(links)] if links else [note(_ONE)]


def report(context: Context) -> list[Component]:
    """The same; nothing of a run that is compared with none."""
    return layout(context) if compared(context).base is not None else []


def diff_of(library: Library, base: LibraryRun, new: LibraryRun) -> Diff:
    """The diff of two runs, made once."""

    def compared() -> Diff:
        both = has_activity(base.run) and has_activity(new.run)
        known = (_accounts(library, base), _accounts(library, new)) if both else None
        return diff_runs(base.run, new.run, known)

    return library.kept(("diff", base.id, new.id), compared)


def _accounts(library: Library, run: LibraryRun) -> RunAccounts:
    return RunAccounts(run.report, library.cells(run))


def _chosen(context: Context, runs: Sequence[LibraryRun]) -> LibraryRun:
    """The run that the page's option names, else the first."""
    wanted = context.option(_RUN)
    return next((run for run in runs if run.id == wanted), runs[0])


def _answer(context: Context, both: ComparedRuns, new: LibraryRun, document: Document) -> Component:
    from dash import html

    assert both.base is not None
    line = html.Div(
        [badge(new), html.Span("compared with the baseline", className="about"), badge(both.base)],
        className="heading",
    )
    others = [(run.id, run.id) for run in both.runs]
    pick = [choices(context, _RUN, "Run", others)] if len(others) > 1 else []
    words = html.Ul([html.Li(text) for text in document.answer], **{"data-testid": "diff-answer"})
    listed = [
        html.Div([html.H3(block.title), html.Ul([html.Li(text) for text in block.lines])])
        for block in document.blocks
        if not isinstance(block, Section)
    ]
    remarks = [
        *evidence_notes(document.evidence),
        *map(note, document.about[2:]),
        *notes(document.warnings),
    ]
    return panel(
        "What changed", *pick, line, columns(words, *listed), *remarks, id="diff", about=_ABOUT
    )


_ABOUT = "Every difference is attributed, and the parts add up to the nanosecond."


def _waterfall(context: Context, diff: Diff, names: tuple[str, str]) -> Component:
    level = context.option(_LEVEL, next(iter(LEVELS)))
    unit = unit_of_diff(diff)
    changes = waterfall_changes(diff, level)
    figure = waterfall(names, diff.base.step_ns, changes, context.theme, unit)
    figure.update_layout(height=380, margin={"t": 24})
    return panel(
        "From the baseline's step time",
        choices(context, _LEVEL, "Take apart", list(LEVELS.items())),
        graph(figure, "diff-waterfall", "The step time of the baseline, its changes, the other's"),
        id="diff-waterfall-panel",
        about="Mean of the ranks, per step; the bars add up exactly. Green makes it shorter, red "
        "longer.",
    )


def _map(context: Context, diff: Diff) -> Component:
    by_rank = rank_rows(diff)
    what = context.option(_ROWS, "rank") if by_rank else "stage"
    rows = by_rank if what == "rank" else stage_rows(diff)
    if not any(time for row in rows for time in row.changes_ns.values()):
        words = (
            "Nothing changed." if rows else "Neither ranks nor stages of the two runs correspond."
        )
        return panel("Change by rank and state", empty(words), id="diff-map-panel")
    reason = [] if by_rank else [note("Ranks of the two runs do not correspond; stages do.")]
    figure = change_map(rows, what, context.theme, unit_of_diff(diff))
    return panel(
        f"Change by {what} and state",
        *([choices(context, _ROWS, "Rows", list(_MAPS.items()))] if by_rank else []),
        *reason,
        graph(figure, "diff-map", f"Change of every state by {what}"),
        id="diff-map-panel",
        about="Per step; blue and minus: less time than in the baseline, orange and plus: more. "
        "Which is better depends on the state.",
    )


def _tables(document: Document) -> list[Component]:
    """The sections of ``dpprof diff``, two beside each other where there is room."""
    from dash import html

    sections = [block for block in document.blocks if isinstance(block, Section)]
    shown = [
        html.Section(section_table(section, f"diff-table-{number}"), className="panel")
        for number, section in enumerate(sections)
    ]
    return [tables(*shown)]


page = Page(
    key="diff",
    title="Diff",
    order=80,
    layout=layout,
    tells_evidence=True,
    report=report,
    options={
        _RUN: (),
        _LEVEL: tuple(LEVELS),
        _ROWS: tuple(_MAPS),
        PRESENCE: tuple(PRESENCES),
    },
    about="What makes the step longer or shorter than the baseline's, adding up exactly.",
)
