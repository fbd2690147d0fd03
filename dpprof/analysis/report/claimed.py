"""What of a rank's or the job's figures is claimed, with the evidence that there is."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dpprof.analysis.figures import KindFigures, TimeFigures
from dpprof.analysis.report.bounds import with_bounds
from dpprof.evidence.evidence import Evidence
from dpprof.evidence.figures import touching


def claimed(
    figures: TimeFigures, evidence: Sequence[Evidence], rank: int | None = None
) -> TimeFigures:
    """The figures without the shares and the waiting that evidence is missing for.

    States stay, as they must add up to the window; what they cannot say, the evidence does.
    """
    if touching(evidence, "bubble_share", rank):
        figures = replace(figures, bubble_share=None)
    if touching(evidence, "wait_ns", rank) and figures.unsplit_ns == 0:
        figures = replace(figures, wait_ns=None)
    lacking = touching(evidence, "hidden_share", rank)
    if lacking and figures.hidden_share is not None:
        figures = replace(figures, hidden_share=None, hidden_reason=lacking[0].check)
    kinds = {
        name: _unclaimed(kind, touching(evidence, f"{name}.hidden_share", rank))
        for name, kind in figures.by_kind.items()
    }
    figures = replace(figures, by_kind=kinds)
    if touching(evidence, "including_wait", rank):
        whole = replace(figures.including_wait, hidden_share=None)
        figures = replace(figures, including_wait=whole)
    return with_bounds(figures)


def _unclaimed(kind: KindFigures, lacking: Sequence[Evidence]) -> KindFigures:
    """The kind, of which no share is claimed to be hidden where evidence for it is missing."""
    known = kind.hidden_reason is not None or not lacking
    return kind if known else replace(kind, hidden_reason=lacking[0].check)
