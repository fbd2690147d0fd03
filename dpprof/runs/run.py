"""A run in memory: its manifest and its tables, whether captured, emulated or simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from dpprof.runs.manifest import Manifest, RankPlace, Source
from dpprof.schedules.schedule import Schedule
from dpprof.tables.columns import MEMORY, SLOTS, STEPS, empty_table


@dataclass(frozen=True)
class Run:
    """The tables of one run (columns: `dpprof.tables.columns`).

    `schedule` is None where it is neither known nor recognised. `places` has one entry per rank
    present, in rank order. `used_steps` are the steps to account, `dropped_steps` those of the
    profiler's warm-up; with no marks, everything is step 0 of a whole-trace window. `files` maps
    each rank to the trace that it was read from.
    """

    name: str
    source: Source
    events: pd.DataFrame
    places: tuple[RankPlace, ...]
    schedule: Schedule | None = None
    manifest: Manifest | None = None
    slots: pd.DataFrame = field(default_factory=lambda: empty_table(SLOTS))
    memory: pd.DataFrame = field(default_factory=lambda: empty_table(MEMORY))
    steps: pd.DataFrame = field(default_factory=lambda: empty_table(STEPS))
    used_steps: tuple[int, ...] = (0,)
    dropped_steps: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    files: Mapping[int, Path] = field(default_factory=dict)

    @cached_property
    def pp_rank(self) -> dict[int, int]:
        """Global rank -> pipeline rank."""
        return {place.rank: place.pp_rank for place in self.places}
