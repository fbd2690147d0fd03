"""The schedules by name: a file of this package adds one with the decorator `schedule`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache

from dpprof import schedules
from dpprof.errors import DpprofError
from dpprof.schedules.actions import Slot
from dpprof.schedules.definition import ChunkCosts, Definition, ScheduleTheory
from dpprof.schedules.schedule import Placement, Schedule

_RankSlots = Callable[[int, int, int], Iterator[Slot]]

MOST_CHUNKS = 10_000_000
"""Ranks times micro-batches; more would fill the memory of most machines."""

_DEFINITIONS: dict[str, Definition] = {}


def any_size(pp: int, micro_batches: int) -> str | None:
    """The size rule of a schedule that runs on any number of ranks and micro-batches."""
    return None


def schedule(
    name: str,
    summary: str,
    *,
    placement: Callable[[int], Placement],
    theory: Callable[[int, int, ChunkCosts], ScheduleTheory],
    size_rule: Callable[[int, int], str | None] = any_size,
) -> Callable[[_RankSlots], _RankSlots]:
    """Register the decorated ``(pp_rank, pp, micro_batches) -> slots`` (see `Definition`)."""

    def register(rank_slots: _RankSlots) -> _RankSlots:
        _DEFINITIONS[name] = Definition(name, summary, placement, size_rule, theory, rank_slots)
        return rank_slots

    return register


@cache
def _discover() -> None:
    for module in pkgutil.iter_modules(schedules.__path__):
        importlib.import_module(f"{schedules.__name__}.{module.name}")


def schedule_names() -> tuple[str, ...]:
    """The names of all schedules, sorted."""
    _discover()
    return tuple(sorted(_DEFINITIONS))


def schedule_summaries() -> dict[str, str]:
    """Name -> one line that says what the schedule does, sorted by name."""
    return {name: _DEFINITIONS[name].summary for name in schedule_names()}


def schedule_definition(name: str) -> Definition:
    """The schedule called `name`; raises `DpprofError` that lists the known and the nearest."""
    names = schedule_names()
    if name in names:
        return _DEFINITIONS[name]
    nearest = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1, cutoff=0.4)
    meant = f" (did you mean {nearest[0]}?)" if nearest else ""
    raise DpprofError(f"no schedule {name[:60]!r}{meant}; known: {', '.join(names)}")


def make_schedule(name: str, pp: int, micro_batches: int) -> Schedule:
    """Generate the schedule `name` on `pp` pipeline ranks.

    `micro_batches` counts both directions together for DualPipe, the single stream for all
    others. Raises `DpprofError` for an unknown name, and for sizes that break the schedule's rule.
    """
    definition = schedule_definition(name)
    sizes = f"{name} with {pp} ranks and {micro_batches} micro-batches"
    if pp < 1 or micro_batches < 1:
        raise DpprofError(f"{sizes}: both must be at least 1; choose other sizes")
    if pp * micro_batches > MOST_CHUNKS:
        raise DpprofError(f"{sizes}: more than {MOST_CHUNKS:,} chunks; choose smaller sizes")
    broken_rule = definition.size_rule(pp, micro_batches)
    if broken_rule is not None:
        raise DpprofError(f"{sizes}: {broken_rule}")
    ranks = tuple(tuple(definition.rank_slots(pp_rank, pp, micro_batches)) for pp_rank in range(pp))
    return Schedule(name, micro_batches, definition.placement(pp), ranks)
