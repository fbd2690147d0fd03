"""Claims on idle time: which bubble state an instant would be, and who is to blame."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.analysis.events.causes import NO_CAUSES, Causes
from dpprof.tables.intervals import EMPTY, Intervals, first_come


@dataclass(frozen=True)
class Claims:
    """Disjoint sorted `pieces` of time that are `state` if the rank is idle there.

    Row i of `causes` is what piece i waits for. Claims of one rank and step come in a list, the
    strongest first. With `anywhere`, they hold before the first and after the last computation too.
    """

    state: str
    pieces: Intervals
    causes: Causes
    anywhere: bool = False


def make_claims(state: str, spans: Intervals, causes: Causes, *, anywhere: bool = False) -> Claims:
    """Claims from spans in any order; where spans overlap, the one that began first wins.

    `causes` has one row per span.
    """
    pieces, owner = first_come(spans)
    return Claims(state, pieces, causes[owner], anywhere)


NO_CLAIMS = make_claims("", EMPTY, NO_CAUSES)
