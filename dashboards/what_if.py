"""What-if: a schedule, sizes and costs that a view asks for, and the simulated run they give."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import pandas as pd

from dashboards.library import Library, LibraryRun, analyzed
from dashboards.page import Context
from dashboards.timeline.lookup import Recent
from dpprof.analysis.costs import costs_from_run
from dpprof.costs.load import builtin_costs, load_costs
from dpprof.costs.profile import CostProfile
from dpprof.errors import DpprofError
from dpprof.runs.events import HeldEvents
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.simulate.run import simulated_run
from dpprof.simulate.walk import COMMUNICATIONS, Communication
from dpprof.tables.columns import STEP

MOST_PP, MOST_CHUNKS = 64, 4096
"""What is simulated while somebody waits for a page: pipeline ranks, and these by micro-batches."""

MOST_EVENTS = 1_000_000
"""Of a run with more, costs are measured in its first used step alone."""

SCHEDULE, PP, MICRO_BATCHES, COSTS, COMMUNICATION, LAYERS = (
    "schedule",
    "pp",
    "micro_batches",
    "costs",
    "communication",
    "layers",
)
_DEFAULT_SCHEDULE, _DEFAULT_PP, _DEFAULT_MICRO_BATCHES = "dualpipe", 8, 20

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class WhatIf:
    """What to simulate; `costs` names a run of the library or built-in costs.

    `layers` is that of a stage's chunk, None for that of the costs.
    """

    schedule: str
    pp: int
    micro_batches: int
    costs: str
    communication: Communication
    layers: int | None

    @property
    def id(self) -> str:
        """In words, the same for the same what-if only."""
        layers = "" if self.layers is None else f", {self.layers} layers"
        return (
            f"{self.schedule}, PP {self.pp}, {self.micro_batches} micro-batches, costs of "
            f"{self.costs}{layers}, {self.communication}"
        )

    def command(self) -> str:
        """The same on the command line, the run's id standing for its path."""
        layers = "" if self.layers is None else f" --layers {self.layers}"
        return (
            f"dpprof simulate {self.schedule} --pp {self.pp} --micro-batches {self.micro_batches} "
            f"--costs {self.costs} --communication {self.communication}{layers}"
        )


def what_if_of(context: Context) -> WhatIf:
    """What the view asks for; what it leaves out is as in the run that is compared with.

    Raises `DpprofError` for what cannot be simulated here.
    """
    run = measured_of(context)
    schedule = run.run.schedule
    name = _DEFAULT_SCHEDULE if schedule is None else schedule.name
    asked = WhatIf(
        schedule=context.option(SCHEDULE, name if name in schedule_names() else _DEFAULT_SCHEDULE),
        pp=_number(context, PP, run.report.pp or _DEFAULT_PP),
        micro_batches=_number(
            context, MICRO_BATCHES, run.report.micro_batches or _DEFAULT_MICRO_BATCHES
        ),
        costs=context.option(COSTS) or default_costs(context.library, run),
        communication=cast("Communication", context.option(COMMUNICATION, COMMUNICATIONS[0])),
        layers=_number(context, LAYERS, 0) or None,
    )
    if asked.pp > MOST_PP or asked.pp * asked.micro_batches > MOST_CHUNKS:
        raise DpprofError(
            f"PP {asked.pp} with {asked.micro_batches} micro-batches is more than a page waits "
            f"for (PP {MOST_PP}, {MOST_CHUNKS:,} chunks); use `{asked.command()}`"
        )
    return asked


def default_costs(library: Library, run: LibraryRun) -> str:
    """The run's own costs, or built-in ones where nothing in it says what its work cost."""
    known = library.kept(("has costs", run.id), lambda: _has_costs(library, run))
    return run.id if known else builtin_costs()[0]


def _has_costs(library: Library, run: LibraryRun) -> bool:
    try:
        costs_of(library, run.id)
    except DpprofError:
        return False
    return True


def measured_of(context: Context) -> LibraryRun:
    """The run that a what-if is beside: that of its costs, else the first one shown."""
    wanted = context.option(COSTS)
    return context.library.get(wanted) if wanted in context.library.ids else context.runs[0]


def _number(context: Context, name: str, default: int) -> int:
    text = context.option(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 10**6):
        raise DpprofError(f"{name.replace('_', '-')}: {text[:20]!r} is no number from 1 on")
    return int(text)


def costs_of(library: Library, name: str) -> CostProfile:
    """The costs measured in a run of the library, or built in, by name."""
    if name in library.ids:
        return library.kept(("costs", name), lambda: _measured(library.get(name)))
    if name in builtin_costs():
        return load_costs(name)
    known = ", ".join((*library.ids, *builtin_costs()))
    raise DpprofError(f"there are no costs {name[:40]!r}; there are those of {known}")


def _measured(run: LibraryRun) -> CostProfile:
    return costs_from_run(_one_step(run.run), run.id)


def _one_step(run: Run) -> Run:
    """The run; of a big one only its first used step, read one rank after another."""
    if run.held.count <= MOST_EVENTS or not run.used_steps:
        return run
    step = run.used_steps[0]
    parts = [run.held.of_rank(place.rank) for place in run.places]
    events = pd.concat([part[part[STEP] == step] for part in parts], ignore_index=True)
    return replace(run, held=HeldEvents(events), used_steps=(step,))


def simulated(library: Library, asked: WhatIf) -> LibraryRun:
    """The simulated run, analyzed; those that were asked for last are held.

    Raises `DpprofError` where the costs are not known or the schedule does not take the sizes.
    """
    recent: Any = library.kept("what-ifs", Recent)
    made: LibraryRun = recent.get(asked, lambda: _simulated(library, asked))
    return made


def _simulated(library: Library, asked: WhatIf) -> LibraryRun:
    schedule = make_schedule(asked.schedule, asked.pp, asked.micro_batches)
    costs = costs_of(library, asked.costs)
    run = simulated_run(schedule, costs, layers=asked.layers, communication=asked.communication)
    return analyzed(asked.id, run)


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
