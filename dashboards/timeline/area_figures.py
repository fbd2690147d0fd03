"""What is inside an area of the timeline: accounts of its ranks, for the panel and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dpprof.analysis.accounting.area import RankArea, add_names, rank_area
from dpprof.analysis.figures import KindFigures
from dpprof.analysis.overlap.by_kind import add_kinds
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.detail.names import UNLISTED
from dpprof.dashboards.timeline.hit_test import Recent, rank_events
from dpprof.dashboards.timeline.scene import Scene, SceneRun
from dpprof.dashboards.view.state import Area
from dpprof.tables.kinds import BUBBLE_STATES, EXPOSED_STATES, OVERLAP, STATES

HEAD = ("run", "rank", "of", "kind", "name", "count", "total_ns", "hidden_ns", "exposed_ns")
"""The columns of the CSV file; `of` says which table a row is of: state, kind or activity."""


@dataclass(frozen=True)
class RunArea:
    """The ranks of a run that are in an area."""

    run: str
    ranks: tuple[RankArea, ...]

    @property
    def span_ns(self) -> int:
        """The time of all ranks together."""
        return sum(one.span_ns for one in self.ranks)

    @property
    def states(self) -> dict[str, int]:
        """Nanoseconds of every state that occurs, all ranks together; they add up to the span."""
        return {
            state: total
            for state in (*STATES, UNLISTED)
            if (total := sum(states_of(one)[state] for one in self.ranks))
        }

    @property
    def kinds(self) -> dict[str, KindFigures]:
        """What was communicated, by kind."""
        return add_kinds([one.transfers.by_kind for one in self.ranks])

    @property
    def names(self) -> pd.DataFrame:
        """What ran, by kind and name."""
        return add_names([one.names for one in self.ranks])


def states_of(area: RankArea) -> dict[str, int]:
    """The states of a rank with the bubbles that are not listed; they add up to the span."""
    return area.states | {UNLISTED: area.unlisted_ns}


def exposed_ns(area: RankArea) -> int:
    """Time in which a rank communicates and does nothing else."""
    return sum(area.states[state] for state in EXPOSED_STATES)


def bubble_ns(area: RankArea) -> int:
    """Time in which a rank does nothing."""
    return sum(area.states[state] for state in BUBBLE_STATES) + area.unlisted_ns


def hidden_share(area: RankArea) -> float | None:
    """How much of a rank's communication computing hides; None where nothing says or none is."""
    communicates = area.states[OVERLAP] + exposed_ns(area)
    known = all(one.hidden_reason is None for one in area.transfers.by_kind.values())
    return area.states[OVERLAP] / communicates if communicates and known else None


def area_figures(library: Library, scene: Scene, area: Area) -> list[RunArea]:
    """The accounts of an area, run by run; those asked for last are held."""
    recent: Recent[list[RunArea]] = library.kept("recent areas", lambda: Recent(4))
    steps = tuple((run.run.id, run.step) for run in scene.runs)
    return recent.get((area, steps), lambda: list(_of_runs(library, scene, area)))


def _of_runs(library: Library, scene: Scene, area: Area) -> Iterator[RunArea]:
    for id, ranks in area.ranks:
        run = scene.run(id)
        if run is not None:
            present = {place.rank for place in run.run.run.places}
            own = [rank for rank in ranks if rank in present]
            yield RunArea(id, tuple(_of_rank(library, run, rank, area) for rank in own))


def _of_rank(library: Library, run: SceneRun, rank: int, area: Area) -> RankArea:
    start, end = (run.origin_ns + at for at in (area.start_ns, area.end_ns))
    end = max(start, min(end, run.origin_ns + run.window_ns))
    events = rank_events(library, run, rank)
    return rank_area(events, run.run.accounting.regions, rank, run.step, (start, end))


def area_csv(figures: list[RunArea]) -> str:
    """All of it as a CSV file, rank by rank."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEAD)
    for run in figures:
        for rank in run.ranks:
            writer.writerows((run.run, rank.rank, *row) for row in _rows(rank))
    return file.getvalue()


def _rows(rank: RankArea) -> Iterator[tuple[object, ...]]:
    for state, total in states_of(rank).items():
        yield "state", "", state, "", total, "", ""
    for kind, one in rank.transfers.by_kind.items():
        yield "kind", kind, "", "", one.total_ns, one.hidden_ns, one.exposed_ns
    for own in rank.names.itertuples(index=False):
        yield "activity", own.kind, own.name, own.count, own.total_ns, "", ""
