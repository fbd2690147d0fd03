"""Addresses of places in the timeline."""

from __future__ import annotations

from dpprof.analysis.observations import RegionFigures
from dpprof.dashboards.data.library import LibraryRun
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import Selection

_AROUND = 4
"""How much of the step is shown on both sides of what a link leads to, in its own lengths."""
_LEAST_NS = 1000


def region_link(context: Context, run: LibraryRun, region: RegionFigures) -> str:
    """Where the timeline shows a bubble region, selected, with its surroundings."""
    span = (region.offset_ns, region.offset_ns + region.length_ns)
    select = Selection("bubble", run.id, region.rank, region.offset_ns)
    return timeline_link(context, region.step, span, select)


def timeline_link(context: Context, step: int, span: tuple[int, int], select: Selection) -> str:
    """Where the timeline shows `span`, in nanoseconds from the start of the step."""
    start, end = span
    around = max(_AROUND * (end - start), _LEAST_NS)
    return context.link(
        page="timeline",
        step=step,
        time_range=(max(start - around, 0), end + around),
        select=select,
        options={},
    )
