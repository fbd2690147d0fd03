"""The costs of a what-if: measured in a run of the library, or built in."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.costs.load import builtin_costs, load_costs
from dpprof.costs.profile import CostProfile
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.errors import DpprofError
from dpprof.runs.events import HeldEvents
from dpprof.runs.run import Run
from dpprof.tables.columns import STEP

MOST_EVENTS = 1_000_000
"""Of a run with more, costs are measured in its first used step alone."""


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


def costs_of(library: Library, name: str) -> CostProfile:
    """The costs measured in a run of the library, or built in, by name."""
    if name in library.ids:
        return library.kept(("costs", name), lambda: _measured(library.get(name)))
    if name in builtin_costs():
        return load_costs(name)
    known = ", ".join((*library.ids, *builtin_costs()))
    raise DpprofError(f"there are no costs {name[:40]!r}; there are those of {known}")


def step_of_costs(library: Library, name: str) -> int | None:
    """The one step that the costs of a big run are measured in; None where it is all of them."""
    run = library.get(name).run if name in library.ids else None
    if run is None or len(run.used_steps) < 2 or not _is_big(run):
        return None
    return run.used_steps[0]


def _measured(run: LibraryRun) -> CostProfile:
    return costs_from_run(_one_step(run.run), run.id)


def _one_step(run: Run) -> Run:
    """The run; of a big one only its first used step, read one rank after another."""
    if not _is_big(run):
        return run
    step = run.used_steps[0]
    parts = [run.held.of_rank(place.rank) for place in run.places]
    events = pd.concat([part[part[STEP] == step] for part in parts], ignore_index=True)
    return replace(run, held=HeldEvents(events), used_steps=(step,))


def _is_big(run: Run) -> bool:
    return run.held.count > MOST_EVENTS and len(run.used_steps) > 0
