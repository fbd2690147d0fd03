"""The memory: peaks by rank and what they are made of, curves by stage, chunks in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpprof.analysis.figures import RankFigures
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.data.memory_curves import MOST_POINTS, RankCurve, rank_curve, whole_span
from dpprof.dashboards.figures.memory import curve_figure, peak_bars
from dpprof.dashboards.figures.overlap import RunReport
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.graph import graph
from dpprof.dashboards.parts.panel import columns, empty, note, panel
from dpprof.dashboards.parts.picker import picker
from dpprof.dashboards.parts.section import section_table
from dpprof.dashboards.view.compared_runs import compared, shown_step
from dpprof.dashboards.view.page import Context, Page
from dpprof.reporters.blocks.units import TimeUnit, byte_unit, bytes_text
from dpprof.reporters.report.sections import memory_section
from dpprof.tables.devices import rank_label, rank_name

if TYPE_CHECKING:
    from dash import Dash
    from dash.development.base_component import Component

_MOST_RUNS = 3
_MOST_CURVES = 4
_MOST_LINKS = 16
_WORST = "worst"
_NEARLY = 0.999
"""Of the largest peak: what is less is said to be."""


def layout(context: Context) -> list[Component]:
    """Peaks of all ranks, then the curves of one stage in every run, then all figures."""
    all_runs = compared(context)
    runs = all_runs.some(_MOST_RUNS)
    left_out = [note(text) for text in all_runs.left_out(_MOST_RUNS)]
    if all(run.report.total.memory.peak_allocated_bytes is None for run in runs):
        return [*left_out, panel("Memory", empty(f"n/a: {_why_nothing(runs)}"), id="memory")]
    shown = [_shown(context, run) for run in runs if len(run.run.memory)]
    top = max((one.top for one in shown), default=0)
    spans = [one.span for one in shown]
    span = (min((one[0] for one in spans), default=0), max((one[1] for one in spans), default=0))
    return [
        *left_out,
        _peaks_panel(context, runs),
        *([_places(context, runs)] if shown else []),
        *[_curve_panel(context, one, all_runs.unit, (span, top)) for one in shown],
        columns(*[_figures_panel(run) for run in runs]),
    ]


def _why_nothing(runs: Sequence[LibraryRun]) -> str:
    reasons = (
        reason for run in runs for rank in run.report.ranks for reason in rank.memory.reasons
    )
    return next(reasons, "no rank is in the traces")


def _peaks_panel(context: Context, runs: Sequence[LibraryRun]) -> Component:
    peaks = [run.report.total.memory.peak_allocated_bytes or 0 for run in runs]
    shown = [RunReport(run.name, run.report) for run in runs]
    figure = peak_bars(shown, context.theme, byte_unit(max(peaks)))
    return panel(
        "Peak of every rank",
        graph(figure, "memory-peaks", "Memory peak of every rank by what it is made of"),
        id="memory-peaks-panel",
        about="The most bytes allocated in the used steps, by what they are for. The mark is what "
        "the schedule predicts: static memory and the most micro-batches in flight",
    )


@dataclass(frozen=True)
class _Shown:
    """The curves of a run that are shown: of which stage or rank, in which step and range of it."""

    run: LibraryRun
    title: str
    step: int
    span: tuple[int, int]
    curves: list[RankCurve]

    @property
    def top(self) -> int:
        """The most bytes in sight, what is predicted included."""
        peaks = [curve.peak[1] for curve in self.curves if curve.peak is not None]
        bounds = [curve.figures.predicted_bytes or 0 for curve in self.curves[:1]]
        return max([*peaks, *bounds], default=0)


def _shown(context: Context, run: LibraryRun) -> _Shown:
    step = shown_step(context, run) or 0
    span = context.view.time_range or whole_span(run, step)
    title, ranks = _place(context, run)
    curves = [rank_curve(context.library, run, step, rank, span) for rank in ranks[:_MOST_CURVES]]
    return _Shown(run, title, step, span, curves)


def _place(context: Context, run: LibraryRun) -> tuple[str, list[RankFigures]]:
    """What is shown, a stage or, where there are none, a rank, and its ranks, worst first.

    By default that of the rank with the largest peak.
    """
    report, wanted = run.report, context.option("stage", _WORST)
    ranks = {rank.rank: rank for rank in report.ranks}
    largest = ranks.get(report.total.memory.rank or 0, report.ranks[0])
    stages = {str(one.stage): one.ranks for one in report.stages}
    if not stages:
        one = ranks.get(int(wanted) if wanted.isdecimal() else -1, largest)
        return f"Rank {rank_label(one.rank)} of {run.id}", [one]
    first = str(min(largest.stages)) if largest.stages else next(iter(stages))
    stage = wanted if wanted in stages else first
    holders = [ranks[rank] for rank in stages[stage]]
    holders.sort(key=lambda rank: -(rank.memory.peak_allocated_bytes or 0))
    names = ", ".join(f"{rank_name(rank.rank)}" for rank in holders)
    return f"Stage {stage} of {run.name}: {names}", holders


def _places(context: Context, runs: Sequence[LibraryRun]) -> Component:
    """The picker of stages, or of ranks where there are no stages."""
    from dash import html

    stages = sorted({one.stage for run in runs for one in run.report.stages})
    word = "Stage" if stages else "Rank"
    numbers = stages or sorted({rank.rank for run in runs for rank in run.report.ranks})
    values = [(_WORST, "largest peak"), *((str(one), str(one)) for one in numbers)]
    chosen = context.option("stage", _WORST)
    control = (
        choices(context, "stage", word, values)
        if len(values) <= _MOST_LINKS
        else picker("o.stage", word, values, chosen)
    )
    return html.Div(control, className="bar-of-choices")


def _curve_panel(
    context: Context, shown: _Shown, unit: TimeUnit, ranges: tuple[tuple[int, int], int]
) -> Component:
    """The curves of a run; `ranges` are the time and the most bytes of all runs."""
    from dash import dcc

    (span, top), run, curves = ranges, shown.run, shown.curves
    names = ", ".join(f"{rank_name(curve.rank)}" for curve in curves)
    figure = curve_figure(curves, context.theme, (unit, byte_unit(top)), top)
    figure.update_xaxes(range=[one / unit.nanoseconds for one in span])
    link = context.link(page="timeline", step=shown.step, options={}, select=None)
    return panel(
        f"{shown.title}, step {shown.step}",
        graph(
            figure,
            {"type": _GRAPH, "run": run.id, "unit": unit.nanoseconds},
            f"Memory curve of {names}",
            doubleClick="autosize",
        ),
        dcc.Link("The same time in the timeline", href=link, className="button"),
        *_remarks(shown),
        id=f"memory-curve-{run.id}-panel",
        about="Allocated bytes over time, filled with what they are for; beneath, micro-batches "
        "whose activations are held. Drag to look closer, double-click for the whole step",
    )


def _remarks(shown: _Shown) -> list[Component]:
    """What the picture does not show."""
    texts = [
        f"{rank_name(curve.rank)}: {len(curve.at_ns) - 1:,} of {curve.changes:,} changes are "
        "drawn, every peak among them; look closer to see all"
        for curve in shown.curves
        if curve.changes > MOST_POINTS
    ]
    texts += [
        f"{rank_name(curve.rank)}: micro-batches in flight n/a: the trace has no schedule slots"
        for curve in shown.curves
        if not curve.in_flight
    ]
    for curve in shown.curves:
        memory, here = curve.figures, curve.peak
        most = memory.peak_allocated_bytes
        if here is None or most is None or here[1] < _NEARLY * most:
            peak = bytes_text(most)
            texts.append(
                f"{rank_name(curve.rank)} has its peak of all steps, {peak}, in step {memory.step}"
            )
    return [note(text) for text in texts]


def _figures_panel(run: LibraryRun) -> Component:
    return panel(
        f"At the peak: {run.name}",
        section_table(memory_section(run.report), f"memory-{run.id}"),
        id=f"memory-{run.id}-panel",
    )


_GRAPH = "memory-curve"


def callbacks(app: Dash, library: Library) -> None:
    """Zooming a curve asks for the points of that range; a double click, for the whole step."""
    from dash import ALL, Input, Output, ctx, no_update

    del library  # the view alone changes; the layout does the rest

    @app.callback(
        Output("change", "data", allow_duplicate=True),
        Input({"type": _GRAPH, "run": ALL, "unit": ALL}, "relayoutData"),
        prevent_initial_call=True,
    )
    def zoom(layouts: list[dict[str, Any] | None]) -> Any:
        del layouts
        value = ctx.triggered[0]["value"] if ctx.triggered_id else None
        new = zoomed(value or {}, ctx.triggered_id["unit"]) if value else None
        return no_update if new is None else {"t": new}


def zoomed(layout: Mapping[str, Any], unit_ns: int) -> str | None:
    """The time range, as in an address, that a change of the picture asks for; None for none."""
    ends = {
        name[-2]: round(value * unit_ns)
        for name, value in layout.items()
        if name.startswith("xaxis") and name.endswith((".range[0]", ".range[1]"))
    }
    if len(ends) == 2:  # of one axis or, alike, of both
        start = max(ends["0"], 0)
        return f"{start}-{max(ends['1'], start + 1)}"
    whole = any(name.startswith("xaxis") and name.endswith(".autorange") for name in layout)
    return "" if whole else None


page = Page(
    key="memory",
    title="Memory",
    order=50,
    layout=layout,
    about="Peaks by rank and what they are made of, curves by stage, micro-batches in flight.",
    options={"stage": ()},
    callbacks=callbacks,
)
