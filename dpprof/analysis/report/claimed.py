"""What of a rank's or the job's figures is claimed, with the evidence that there is."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dpprof.analysis.figures import TimeFigures
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
    return with_bounds(figures)
