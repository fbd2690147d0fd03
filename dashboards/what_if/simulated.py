"""The simulated run of a what-if, and a library that has it beside the measured ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from dpprof.analysis.model import Report
from dpprof.costs.stages import with_cut
from dpprof.dashboards.data.library import Library, LibraryRun, analyzed
from dpprof.dashboards.timeline.hit_test import Recent
from dpprof.dashboards.what_if.costs import costs_of
from dpprof.dashboards.what_if.request import WhatIf
from dpprof.errors import DpprofError
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.simulate.layers import fitting_costs
from dpprof.simulate.run import simulated_run

_Kept = TypeVar("_Kept")


def simulated(library: Library, asked: WhatIf) -> LibraryRun:
    """The simulated run, analyzed; those that were asked for last are held.

    Raises `DpprofError` where the costs are not known or the schedule does not take the sizes.
    """
    recent: Any = library.kept("what-ifs", Recent)
    made: LibraryRun = recent.get(asked, lambda: _simulated(library, asked))
    return made


def _simulated(library: Library, asked: WhatIf) -> LibraryRun:
    schedule = make_schedule(asked.schedule, asked.pp, asked.micro_batches)
    costs, notes = costs_of(library, asked.costs), tuple[str, ...]()
    if asked.stage_layers:
        costs = with_cut(costs, asked.stage_layers, schedule.placement.stage_count)
    if asked.costs in library.ids:
        costs, notes = fitting_costs(costs, schedule, asked.layers)
    run = simulated_run(schedule, costs, layers=asked.layers, communication=asked.communication)
    return analyzed(asked.id, replace(run, warnings=(*run.warnings, *notes)))


class Beside(Library):
    """A library with one more run, whose values are given up with it instead of kept for ever."""

    def __init__(self, library: Library, run: LibraryRun) -> None:
        super().__init__({run.id: lambda: run.run})
        self._library, self._run = library, run

    def get(self, id: str) -> LibraryRun:
        """The run itself, or one of the library beneath."""
        return self._run if id == self._run.id else self._library.get(id)

    def kept(self, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """What is of the run is kept here, everything else beneath."""
        own = isinstance(key, tuple) and self._run.id in key
        return super().kept(key, make) if own else self._library.kept(key, make)


def beside(library: Library, run: LibraryRun) -> Beside:
    """The library with a simulated run in it, held as long as that is."""
    recent: Any = library.kept("what-if libraries", Recent)
    made: Beside = recent.get(run.id, lambda: Beside(library, run))
    return made


def as_it_ran(asked: WhatIf, measured: LibraryRun) -> WhatIf | None:
    """What was measured as a what-if; None where its schedule is none that can be made."""
    schedule = measured.run.schedule
    if asked.costs != measured.id or schedule is None or schedule.name not in schedule_names():
        return None
    return WhatIf(
        schedule.name,
        schedule.pp,
        schedule.micro_batches,
        asked.costs,
        asked.communication,
        None,
    )


def report_of(library: Library, asked: WhatIf | None) -> Report | None:
    """The report of a what-if; None where it cannot be simulated."""
    try:
        return None if asked is None else simulated(library, asked).report
    except DpprofError:
        return None
