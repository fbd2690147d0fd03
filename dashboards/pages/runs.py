"""The page of runs: every run and baseline, how figures went over time, any two compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpprof.dashboards.data.history import (
    METRICS,
    Entry,
    beyond_chance,
    change_between,
    file_entries,
    run_entries,
    trends,
    verdict,
)
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.figures.history import trend
from dpprof.dashboards.parts.choices import choices, option_link
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import note, panel
from dpprof.dashboards.parts.perfetto import perfetto_links
from dpprof.dashboards.parts.table import Column, TableRow, table, unknown
from dpprof.dashboards.view.page import Context, Page
from dpprof.errors import DpprofError
from dpprof.reporters.blocks.units import UNKNOWN, bytes_text, rate_text, share_text, time_unit
from dpprof.reporters.report.sentences import run_words, source_words, step_words

if TYPE_CHECKING:
    from dash.development.base_component import Component

_METRIC, _OPEN = "metric", "open"
_MOST_IN_MATRIX = 16
_FEWEST_POINTS = 2

_COLUMNS = (
    Column("run", "Opens it alone on the overview.", number=False),
    Column("compare", "Opens Diff, or takes the run as the baseline.", number=False),
    Column("gate", "What the gate's default rules say beside the baseline.", number=False),
    Column("schedule", number=False),
    Column("sizes", "Pipeline ranks, micro-batches, ranks.", number=False),
    *(Column(one.label) for one in METRICS.values()),
    Column("source", number=False),
    Column("device", number=False),
    Column("commit", number=False),
    Column("made", "When it was profiled or saved, UTC.", number=False),
)


def layout(context: Context) -> list[Component]:
    """The table, the history, the matrix, what may be opened, then what is said of each run."""
    library = context.library
    opened = _open_asked(context)
    entries = run_entries(library)
    return [
        *opened,
        _table(context, entries),
        _history(context, entries),
        *_matrix(context, entries),
        *_closed(context),
        *[_panel(library.get(id)) for id in library.ids],
    ]


def report(context: Context) -> list[Component]:
    """The same without what opens runs."""
    entries = run_entries(context.library)
    said = [_panel(context.library.get(id)) for id in context.library.ids]
    return [_table(context, entries), _history(context, entries), *said]


def _open_asked(context: Context) -> list[Component]:
    """Open the run that the address asks for, by its id: a path is never taken from there."""
    wanted = context.option(_OPEN)
    if not wanted or wanted in context.library.ids:
        return []
    try:
        context.library.open(wanted)
    except DpprofError as error:
        return [note(str(error), warning=True)]
    return [note(f"{wanted} is open now.")]


def _table(context: Context, entries: Sequence[Entry]) -> Component:
    library = context.library
    base_id = context.view.baseline or library.baseline
    base = next((one for one in entries if one.id == base_id), None)
    files = file_entries(library.shelf.baseline_files() if library.shelf else [])
    rows = [_row(context, one, base, str(number)) for number, one in enumerate([*entries, *files])]
    words = f"beside {base.name}" if base else "no baseline is chosen: the gate says nothing"
    return panel(
        "Runs and baselines",
        table("runs", _COLUMNS, rows),
        note("To compare any two: take one as the baseline, then Diff in the row of the other."),
        id="runs-panel",
        about=f"In the order in which they were made; {words}",
    )


def _row(context: Context, entry: Entry, base: Entry | None, key: str) -> TableRow:
    from dash import dcc, html

    found = verdict(entry, base)
    mood = {"passed": "better", "failed": "worse"}.get(found.word, "")
    name: Any = html.Span(f"{entry.name} (baseline file)", title=entry.reason, className="run-name")
    if entry.id:
        alone = context.link(page="overview", runs=(entry.id,), options={}, select=None)
        name = dcc.Link(entry.name, href=alone, className="run-name")
    word = html.Span(found.word, title=found.about, className=f"verdict {mood}")
    return TableRow(
        key,
        [
            name,
            html.Span(_compare(context, entry, base)),
            word,
            entry.schedule or UNKNOWN,
            entry.sizes or UNKNOWN,
            *(_figure(entry, name) for name in METRICS),
            entry.source.upper() if entry.source != "captured" else entry.source,
            entry.device or UNKNOWN,
            entry.commit[:8] or UNKNOWN,
            entry.created[:16].replace("T", " ") or UNKNOWN,
        ],
        emphasis=entry is base,
    )


def _figure(entry: Entry, name: str) -> Any:
    value = entry.figures.get(name)
    if value is None:
        return unknown(entry.why_not(name))
    if METRICS[name].unit == "ns":
        return time_unit(value).full(value)
    texts = {"share": share_text, "bytes": bytes_text, "rate": rate_text}
    return texts[METRICS[name].unit](value)


def _compare(context: Context, entry: Entry, base: Entry | None) -> list[Any]:
    from dash import dcc

    if not entry.id:
        return []
    if entry is base:
        return ["the baseline"]
    links: list[Any] = []
    if base is not None:
        diff = context.link(
            page="diff", runs=(entry.id,), baseline=base.id, options={}, select=None
        )
        links += [dcc.Link("Diff", href=diff), " · "]
    return [*links, dcc.Link("as baseline", href=context.link(baseline=entry.id, select=None))]


def _history(context: Context, entries: Sequence[Entry]) -> Component:
    name = context.option(_METRIC, next(iter(METRICS)))
    metric = METRICS[name]
    series = trends(entries, name)
    title = f"{metric.label.capitalize()} over time"
    pick = choices(
        context, _METRIC, "Metric", [(key, one.label) for key, one in METRICS.items()], _OPEN
    )
    if sum(map(len, series.values())) < _FEWEST_POINTS:
        nothing = note(f"{metric.label}: less than two of these runs know it.")
        return panel(title, pick, nothing, id="history-panel")
    shown = graph(trend(series, metric, context.theme), "history", f"{metric.label} of every run")
    return panel(
        title,
        pick,
        shown,
        *_moves(series, name),
        id="history-panel",
        about="A line for each schedule, size and device; of five steps and more the slowest and "
        "the fastest fifth are left out. Bars: 95 % interval of the change from the run before. "
        "Triangles: a change beyond chance",
    )


def _moves(series: dict[str, Any], name: str) -> list[Component]:
    """What got significantly worse, in words."""
    worse = [
        point
        for points in series.values()
        for point in points
        if point.worse * METRICS[name].better < 0 and point.change.relative is not None
    ]
    return [
        note(
            f"{one.entry.name}"
            + (f" (commit {one.entry.commit[:12]})" if one.entry.commit else "")
            + f": {METRICS[name].label} {one.change.relative:+.1%}, worse than the run before",
            warning=True,
        )
        for one in worse
    ]


def _matrix(context: Context, entries: Sequence[Entry]) -> list[Component]:
    """Of three and more runs, the change of the metric from each (column) to each (row)."""
    from dash import dcc, html

    name = context.option(_METRIC, next(iter(METRICS)))
    known = [one for one in entries if one.knows(name)]
    if len(known) < 3:
        return []
    shown = known[-_MOST_IN_MATRIX:]
    rows = []
    for number, new in enumerate(shown):
        cells: list[Any] = [html.B(new.name)]
        for base in shown:
            found = None if new is base else change_between(base, new, name)
            change = None if found is None else found.relative
            if found is None or change is None:
                cells.append("" if new is base else UNKNOWN)
                continue
            good = beyond_chance(found) * METRICS[name].better
            mood = "better" if good > 0 else "worse" if good < 0 else ""
            diff = context.link(
                page="diff", runs=(new.id,), baseline=base.id, options={}, select=None
            )
            link = dcc.Link(f"{round(change, 3) + 0.0:+.1%}", href=diff)
            cells.append(html.Span(link, className=f"verdict {mood}"))
        rows.append(TableRow(str(number), cells))
    heads = [Column("", number=False), *(Column(one.name) for one in shown)]
    left = [note(f"The last {len(shown)} of {len(known)} are shown.")] if known != shown else []
    return [
        panel(
            f"Any two: {METRICS[name].label} of the row against the column",
            table("runs-matrix", heads, rows),
            *left,
            id="matrix-panel",
            about="Each opens Diff; coloured where it is beyond chance",
        )
    ]


def _closed(context: Context) -> list[Component]:
    """Run folders below those given that are not open, each with a link that opens it."""
    from dash import dcc

    closed = context.library.closed()
    if not closed:
        return []
    heads = [Column("run", number=False), Column("folder", number=False), Column("", number=False)]
    rows = [
        TableRow(id, [id, path, dcc.Link("Open", href=option_link(context, _OPEN, id))])
        for id, path in closed.items()
    ]
    return [
        panel(
            "More runs below the folders given",
            table("runs-closed", heads, rows),
            id="closed-panel",
            about="Only what lies below the folders of the command line can be opened",
        )
    ]


def _panel(run: LibraryRun) -> Component:
    from dash import html

    report = run.report
    unit = time_unit(report.step_ns)
    rows = {
        "what": run_words(report),
        "source": source_words(report),
        "steps": step_words(report, unit),
        "activities": f"{run.run.held.count:,}",
        "bubble regions": _regions(run),
    }
    lines = [html.Tr([html.Th(name), html.Td(text)]) for name, text in rows.items()]
    return html.Section(
        [
            html.H2(run.id),
            html.Table(html.Tbody(lines), className="facts"),
            perfetto_links(run.id),
            *[html.P(text, className="note warning") for text in report.warnings],
        ],
        className="panel",
        id={"type": "run", "id": run.id},
        **{"data-testid": f"run-{run.id}"},
    )


def _regions(run: LibraryRun) -> str:
    left_out = run.accounting.left_out
    text = f"{len(run.report.regions):,}"
    if left_out.regions:
        text += f" listed; {left_out.regions:,} shorter ones are not"
    return text


page = Page(
    key="runs",
    title="Runs",
    order=95,
    layout=layout,
    tells_evidence=True,
    report=report,
    options={_METRIC: tuple(METRICS), _OPEN: ()},
    about="Every run and baseline, how figures went over time, and what there is to say of each.",
)
