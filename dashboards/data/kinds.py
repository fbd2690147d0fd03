"""Which rule gave which activities of a run their kind, for the page of kinds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dpprof.analysis.model import ExplainedKind, KindReport
from dpprof.analysis.report.explain_kinds import explain
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.runs.run import Run
from dpprof.tables.columns import END, KIND, NAME, RANK, START
from dpprof.trace.rank.rank_part import PartedEvents

NO_RULE = "the simulator's own"


def kinds_of(library: Library, run: LibraryRun) -> KindReport:
    """What ``analyze --explain-kinds`` says of the run's traces, found once.

    As it was found when they were read: they are not read again. Of a run that was never read from
    traces, its activities by kind and name.
    """
    return library.kept(("kinds", run.id), lambda: _kinds(run.run))


def _kinds(run: Run) -> KindReport:
    if isinstance(run.held, PartedEvents):
        return explain(run.held.explained(), run.name)
    return _without_traces(run)


def _without_traces(run: Run) -> KindReport:
    sums = [_of_rank(run.held.of_rank(place.rank)) for place in run.places]
    table = pd.concat(sums) if sums else _of_rank(run.held.of_rank(0))
    rows = [
        ExplainedKind(
            kind=str(kind),
            rule=NO_RULE,
            matched=True,
            suspect=False,
            category="",
            name=str(name),
            collective="",
            group="",
            annotation="",
            call="",
            activities=int(own["count"].sum()),
            total_ns=int(own["time"].sum()),
            ranks=sorted(own[RANK].tolist()),
        )
        for (kind, name), own in table.groupby([KIND, NAME])
    ]
    rows.sort(key=lambda one: (-one.total_ns, one.name, one.kind))
    return KindReport(name=run.name, ranks=[place.rank for place in run.places], kinds=rows)


def _of_rank(events: pd.DataFrame) -> pd.DataFrame:
    """Count and time of a rank's activities by kind and name."""
    columns = {KIND: events[KIND].astype(str), NAME: events[NAME].astype(str)}
    rows = events[[RANK]].assign(**columns).assign(time=events[END] - events[START], count=1)
    return rows.groupby([RANK, KIND, NAME], as_index=False).sum()


def unmatched(report: KindReport) -> list[ExplainedKind]:
    """What no rule knew, so that it is taken for computation; most time first."""
    return [one for one in report.kinds if not one.matched]


def suspects(report: KindReport) -> list[ExplainedKind]:
    """What no rule knew although it runs where communication does; most time first."""
    return [one for one in report.kinds if one.suspect]


def total_ns(kinds: Sequence[ExplainedKind]) -> int:
    """Their time, over all ranks and steps."""
    return sum(one.total_ns for one in kinds)
