"""A run in memory: its manifest and its tables, whether captured, emulated or simulated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.runs.events import HeldEvents, RankEvents
from dpprof.runs.manifest import Manifest, RankPlace, Source
from dpprof.schedules.schedule import Schedule
from dpprof.tables.columns import (
    CLOCKS,
    EVENTS,
    HOST_SPANS,
    MEMORY,
    SLOTS,
    STEPS,
    WAITS,
    empty_table,
)


@dataclass(frozen=True, init=False)
class Run:
    """The tables of one run (columns: `dpprof.tables.columns`).

    `schedule` is None where it is neither known nor recognised. `places` has one entry per rank
    present, in rank order. `used_steps` are the steps to account, `dropped_steps` those of the
    profiler's warm-up; with no marks, everything is step 0 of a whole-trace window. `files` maps
    each rank to the trace that it was read from. All times are on one clock: `clocks` says whose
    times were corrected for that, and by how much. `world_size` is how many ranks the job had,
    present or not; None where nothing says. `evidence` is what is amiss (metrics.md, section
    8); its texts are not in `warnings`. `devices` has the device of each row of a rank that has
    several (`dpprof.tables.devices`). `waits` has what work waits for what on other streams, of the
    ranks `knows_waits`: those whose traces record it.

    A run is made with its table of `events`, or with `held`, which knows where they are. `events`
    is the whole table, read when first asked for: of a big run, take `held` one rank at a time.
    """

    name: str
    source: Source
    held: RankEvents
    places: tuple[RankPlace, ...]
    schedule: Schedule | None
    manifest: Manifest | None
    slots: pd.DataFrame
    memory: pd.DataFrame
    steps: pd.DataFrame
    used_steps: tuple[int, ...]
    dropped_steps: tuple[int, ...]
    warnings: tuple[str, ...]
    files: Mapping[int, Path]
    clocks: pd.DataFrame
    world_size: int | None
    evidence: tuple[Evidence, ...]
    devices: Mapping[int, int]
    host_spans: pd.DataFrame
    waits: pd.DataFrame
    knows_waits: frozenset[int]

    def __init__(
        self,
        name: str,
        source: Source,
        events: pd.DataFrame | None = None,
        places: tuple[RankPlace, ...] = (),
        schedule: Schedule | None = None,
        manifest: Manifest | None = None,
        slots: pd.DataFrame | None = None,
        memory: pd.DataFrame | None = None,
        steps: pd.DataFrame | None = None,
        used_steps: tuple[int, ...] = (0,),
        dropped_steps: tuple[int, ...] = (),
        warnings: tuple[str, ...] = (),
        files: Mapping[int, Path] | None = None,
        held: RankEvents | None = None,
        clocks: pd.DataFrame | None = None,
        world_size: int | None = None,
        evidence: tuple[Evidence, ...] = (),
        devices: Mapping[int, int] | None = None,
        host_spans: pd.DataFrame | None = None,
        waits: pd.DataFrame | None = None,
        knows_waits: Collection[int] = (),
    ) -> None:
        if events is not None or held is None:
            held = HeldEvents(empty_table(EVENTS) if events is None else events)
        values = {
            "name": name,
            "source": source,
            "held": held,
            "places": places,
            "schedule": schedule,
            "manifest": manifest,
            "slots": empty_table(SLOTS) if slots is None else slots,
            "memory": empty_table(MEMORY) if memory is None else memory,
            "steps": empty_table(STEPS) if steps is None else steps,
            "used_steps": used_steps,
            "dropped_steps": dropped_steps,
            "warnings": warnings,
            "files": {} if files is None else files,
            "clocks": empty_table(CLOCKS) if clocks is None else clocks,
            "world_size": manifest.world_size if manifest is not None else world_size,
            "evidence": evidence,
            "devices": {} if devices is None else devices,
            "host_spans": empty_table(HOST_SPANS) if host_spans is None else host_spans,
            "waits": empty_table(WAITS) if waits is None else waits,
            "knows_waits": frozenset(knows_waits),
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)

    @cached_property
    def events(self) -> pd.DataFrame:
        """All events of all ranks, one row per device activity."""
        return self.held.whole()

    @cached_property
    def pp_rank(self) -> dict[int, int]:
        """Global rank -> pipeline rank."""
        return {place.rank: place.pp_rank for place in self.places}
