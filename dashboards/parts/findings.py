"""What would make a run faster, in sentences, each a link to its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dpprof.analysis.accounting.bubble_regions import STEADY, region_figures
from dpprof.analysis.observations import Finding
from dpprof.dashboards.data.bubble_regions import LENGTH, step_regions
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.view.compared_runs import shown_step
from dpprof.dashboards.view.links import region_link, timeline_link
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Selection
from dpprof.findings.find import Findings, find_findings
from dpprof.reporters.blocks.slow_links import link_words
from dpprof.reporters.blocks.slower_ranks import slower_notes
from dpprof.reporters.blocks.units import TimeUnit, share_text
from dpprof.reporters.report.sentences import path_words, region_words
from dpprof.tables.columns import END, PHASE, RANK, SLOT, START, STEP
from dpprof.tables.devices import rank_name, rank_of

if TYPE_CHECKING:
    from dash.development.base_component import Component

_FIRST = 4
"""Findings that are shown before the others are asked for."""

_MOST_BUBBLES = 3
_MOST_SLOWER = 2
_LEAST_SHOWN = 0.005
"""Of the unit: shorter bubbles would be shown as 0.00."""


def findings_of(library: Library, run: LibraryRun) -> Findings:
    """The findings of a run, made once; the list that heads ``dpprof analyze`` too."""
    return library.kept(("findings", run.id), lambda: find_findings(run.run, run.report))


def finding_list(context: Context, run: LibraryRun, unit: TimeUnit) -> list[Component]:
    """What gains most, in sentences; then what the step waits for, and its longest bubbles."""
    from dash import html

    found = findings_of(context.library, run)
    items = [_item(context, run, one) for one in found.findings]
    first = [html.Ol(items[:_FIRST], className="findings")] if items else [_none(found)]
    rest: list[Component] = []
    if items[_FIRST:]:
        more = html.Ol(items[_FIRST:], start=str(_FIRST + 1), className="findings")
        rest = [html.Details([html.Summary(f"{len(items) - _FIRST} more"), more])]
    observed = [html.Li(one) for one in _observed(context, run, unit, found.findings)]
    return [*first, *rest, html.Ul(observed, className="findings")]


def _none(found: Findings) -> Component:
    from dash import html

    why = found.reason or "nothing that could be taken out gains half a per cent of the step"
    return html.P(f"What would make a step shorter cannot be computed: {why}.")


def _item(context: Context, run: LibraryRun, finding: Finding) -> Component:
    from dash import dcc, html

    words = f"{finding.text[:1].upper()}{finding.text[1:]}."
    knob = f"Look at: {finding.knob}. Confidence: {finding.confidence}."
    return html.Li(
        [dcc.Link(words, href=_place(context, run, finding)), html.Div(knob, className="about")],
        **{"data-testid": f"finding-{run.id}-{finding.what.replace(' ', '-')}"},
    )


def _place(context: Context, run: LibraryRun, finding: Finding) -> str:
    """Where the finding can be seen."""
    component = finding.what.removeprefix("exposed ")
    if component != finding.what:
        return context.link(page="overlap", options={"kind": component})
    page, options = _PAGES.get(finding.what, ("timeline", {}))
    if page != "timeline":
        return context.link(page=page, options=options, select=None)
    ranks = [rank for rank, pp_rank in run.run.pp_rank.items() if pp_rank in finding.ranks]
    slot = _slot_link(context, run, ranks, finding.slots)
    return slot or _idle_link(context, run, ranks) or context.link(page=page, options={})


_PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "messages": ("overlap", {"kind": "p2p"}),
    "lost overlap": ("overlap", {}),
    "between steps": ("steps", {}),
    "schedule": ("what_if", {}),
}


def _slot_link(context: Context, run: LibraryRun, ranks: list[int], names: list[str]) -> str:
    """The first slot of these names, or of these operations, on the ranks, in the timeline."""
    step, slots = shown_step(context, run), run.run.slots
    own = slots[(slots[STEP] == step) & slots[RANK].isin(ranks)]
    own = own[own[SLOT].astype(str).isin(names)]
    if own.empty:
        return ""
    one = own.sort_values(START).iloc[0]
    origin = _origins(run)[int(one[STEP])]
    span = (int(one[START]) - origin, int(one[END]) - origin)
    return timeline_link(
        context, int(one[STEP]), span, Selection("slot", run.id, int(one[RANK]), span[0])
    )


def _idle_link(context: Context, run: LibraryRun, ranks: list[int]) -> str:
    """The longest bubble amid the step on the ranks."""
    longest = step_regions(context.library, run, shown_step(context, run))
    steady = longest[(longest[PHASE] == STEADY) & longest[RANK].map(rank_of).isin(ranks)]
    regions = region_figures(steady.iloc[:1], _origins(run))
    return region_link(context, run, regions[0]) if regions else ""


def _origins(run: LibraryRun) -> dict[int, int]:
    """Where each step begins."""
    return {one.step: one.start_ns for one in run.report.per_step}


def _observed(
    context: Context, run: LibraryRun, unit: TimeUnit, findings: Sequence[Finding]
) -> Iterator[Component]:
    """The critical path, who is waited for, who is slower, what stands out, the longest bubbles."""
    from dash import dcc

    words = path_words(run.report)
    if words:
        yield dcc.Link(_sentence(words), href=context.link(page="critical_path", options={}))
    words = _waited_words(run, unit)
    if words:
        yield dcc.Link(_sentence(words), href=context.link(page="bubbles", options={}))
    for words in [*slower_notes(run.report.slower_ranks, findings, unit)][:_MOST_SLOWER]:
        yield dcc.Link(_sentence(words), href=context.link(page="bubbles", options={}))
    for slow in run.report.slow_slots[:1]:
        place = _slot_link(context, run, [slow.rank], [slow.slot])
        words = (
            f"{slow.slot} of rank {slow.rank} takes {unit.full(slow.length_ns)}, its siblings "
            f"{unit.full(slow.siblings_ns)}"
        )
        yield dcc.Link(_sentence(words), href=place or context.link(page="timeline", options={}))
    for link in run.report.slow_links[:1]:
        words = link_words(link, unit)
        yield dcc.Link(_sentence(words), href=context.link(page="overlap", options={}))
    for odd in run.report.outliers[:1]:
        where = f"{odd.slot} of {rank_name(odd.rank)}" if odd.slot else rank_name(odd.rank)
        does = "computes" if odd.what == "compute" else "idles"
        words = (
            f"{where} {does} {unit.full(odd.length_ns)} in step {odd.step}, usually "
            f"{unit.full(odd.usual_ns)}"
        )
        yield dcc.Link(_sentence(words), href=context.link(page="steps", options={}))
    longest = step_regions(context.library, run, shown_step(context, run)).iloc[:_MOST_BUBBLES]
    shown = longest[longest[LENGTH] >= _LEAST_SHOWN * unit.nanoseconds]
    for region in region_figures(shown, _origins(run)):
        words = region_words(region, unit, with_step=True)
        yield dcc.Link(_sentence(words), href=region_link(context, run, region))


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _waited_words(run: LibraryRun, unit: TimeUnit) -> str:
    report = run.report
    if len(report.ranks) < 2 or not report.waited_for or not report.total.bubble_ns:
        return ""
    most = report.waited_for[0]
    share = share_text(most.bubble_ns / report.total.bubble_ns)
    time = unit.full(most.bubble_ns / max(len(report.per_step), 1))
    return (
        f"{rank_name(most.rank)} is waited for most: {time} per step, {share} of all ranks' bubbles"
    )
