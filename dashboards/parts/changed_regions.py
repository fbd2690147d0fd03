"""The bubbles that were added, removed or changed between two runs, as a table."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from dpprof.analysis.diff.bubble_changes import (
    LongestBubble,
    RegionChange,
    RegionChanges,
    region_changes,
)
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.dashboards.parts.choices import choices
from dpprof.dashboards.parts.panel import note, panel
from dpprof.dashboards.parts.table import Column, TableRow, table
from dpprof.dashboards.view.links import timeline_link
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Selection
from dpprof.dashboards.view.words import cause_word
from dpprof.reporters.blocks.units import UNKNOWN, TimeUnit
from dpprof.reporters.diff.sentences import cause_words, signed
from dpprof.tables.devices import rank_label

if TYPE_CHECKING:
    from dash.development.base_component import Component

PRESENCE = "presence"
"""The option of the page that says which to list."""

PRESENCES = {"": "all", "added": "added", "removed": "removed", "both": "changed"}
_MOST_REGIONS = 1000


def regions_of(library: Library, base: LibraryRun, new: LibraryRun) -> RegionChanges:
    """The regions of two runs side by side, made once."""
    key = ("region changes", base.id, new.id)
    known = (base.accounting, new.accounting)
    return library.kept(key, lambda: region_changes(base.run, new.run, known))


def region_panel(
    context: Context, runs: tuple[LibraryRun, LibraryRun], unit: TimeUnit
) -> Component:
    """The table, as far as the view asks for it; `runs` are the baseline and the other."""
    changes = regions_of(context.library, *runs)
    wanted = context.option(PRESENCE)
    found = [one for one in changes.changes if not wanted or one.presence == wanted]
    heads = [
        Column("what", "Whether only one of the runs has such bubbles.", False),
        Column("rank", "Rank that idles, as the run that is compared numbers it."),
        Column("bubble", "State of the rank.", False),
        Column("held up", "Stage, micro-batch and operation that could not start.", False),
        Column("waits for", number=False),
        Column(f"base, {unit.name}", "Per step; opens the longest in the timeline."),
        Column(f"new, {unit.name}", "Per step; opens the longest in the timeline."),
        Column(f"change, {unit.name}", "Per step."),
    ]
    shown = islice(found, _MOST_REGIONS)
    rows = [
        _region(number, one, context, (runs, changes.steps, unit))
        for number, one in enumerate(shown)
    ]
    counts = {name: sum(1 for one in changes.changes if one.presence == name) for name in PRESENCES}
    total = sum(one.change_ns for one in found) / changes.steps
    words = (
        f"{counts['added']} added, {counts['removed']} removed, {counts['both']} are in both; "
        f"those listed and {max(0, len(found) - _MOST_REGIONS)} more add up to "
        f"{signed(unit, total)} {unit.name} per step over all ranks."
    )
    return panel(
        "Bubbles added or removed",
        choices(context, PRESENCE, "Show", list(PRESENCES.items())),
        table("diff-regions", heads, rows),
        note(words),
        *_not_listed(changes, unit),
        id="diff-regions-panel",
        about="Matched by rank, state and the work that could not start; most change first.",
    )


def _not_listed(changes: RegionChanges, unit: TimeUnit) -> list[Component]:
    if not any(changes.not_listed_ns):
        return []
    base, new = (unit.full(time / changes.steps) for time in changes.not_listed_ns)
    return [note(f"Regions too short to be listed: {base} in the baseline, {new} in the other.")]


_Of = tuple[tuple[LibraryRun, LibraryRun], int, TimeUnit]


def _region(number: int, one: RegionChange, context: Context, of: _Of) -> TableRow:
    (base, new), steps, unit = of
    held = one.held
    work = f"stage {held.stage}, micro-batch {held.micro_batch}, {held.operation}"
    return TableRow(
        str(number),
        [
            PRESENCES[one.presence],
            rank_label(held.rank) if held.rank >= 0 else UNKNOWN,
            cause_word(held.state),
            work if held.operation else UNKNOWN,
            cause_words(held.cause),
            _place(unit.text(one.base_ns / steps), base, one.base, context),
            _place(unit.text(one.new_ns / steps), new, one.new, context),
            signed(unit, one.change_ns / steps),
        ],
    )


def _place(text: str, run: LibraryRun, longest: LongestBubble | None, context: Context) -> Any:
    """The time, linked to the longest region it is made of."""
    from dash import dcc

    if longest is None:
        return "none"
    span = (longest.offset_ns, longest.offset_ns + longest.length_ns)
    select = Selection("bubble", run.id, longest.rank, longest.offset_ns)
    return dcc.Link(text, href=timeline_link(context, longest.step, span, select))
