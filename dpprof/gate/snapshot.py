"""The figures of a run that a gate compares, with their spread: what a baseline file holds."""

from __future__ import annotations

from typing import Any

import msgspec

from dpprof.analysis.observations import SlowSlot
from dpprof.evidence.evidence import Evidence
from dpprof.statistics.difference import Sampling, scale_of
from dpprof.statistics.figure import Figure, Number, Unit

SNAPSHOT_SCHEMA_VERSION = 2


class RankColumn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A figure of every rank, in the order of `FigureSnapshot.places`; None is "not known"."""

    mean: list[Number | None]
    middle: list[Number | None] | None = None
    step_sd: list[Number | None] | None = None
    run_sd: list[Number | None] | None = None

    def at(self, position: int) -> Figure | None:
        """The figure of one rank."""
        mean = self.mean[position]
        if mean is None:
            return None
        others = (
            None if values is None else values[position]
            for values in (self.middle, self.step_sd, self.run_sd)
        )
        return Figure(mean, *others)


class RankSeat(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rank stands in the pipeline."""

    rank: int
    pp_rank: int
    stages: list[int]


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What must be equal for the figures of two runs to be comparable; None: not known.

    `costs` names the cost profile of an emulated or simulated run, with a digest of its content.
    """

    source: str
    device: str | None = None
    device_name: str | None = None
    schedule: str | None = None
    pp: int | None = None
    micro_batches: int | None = None
    world_size: int
    ranks: list[int]
    mesh: dict[str, int] = {}
    sizes: dict[str, Any] = {}
    tokens_per_step: int | None = None
    costs: str | None = None
    versions: dict[str, str] = {}


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How long a rank idled for another, per step."""

    rank: int
    waits_for: int
    bubble_ns: int


class FigureSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run, or of several runs of the same thing.

    Times are nanoseconds per step. `job` has the job's figures (mean over the ranks, of memory the
    largest), `ranks` those of every rank.
    `nothing` names what took no time on any rank, so that it is told from what is not known; None
    in older files. `missing` says why a figure is not there. `evidence` is what is amiss, and
    `slow_slots` those of the first run; both empty in older files.
    """

    schema_version: int = SNAPSHOT_SCHEMA_VERSION
    dpprof: str
    created: str = ""
    runs: list[str]
    steps: list[int]  # used steps of each run
    identity: RunIdentity
    places: list[RankSeat]
    job: dict[str, Figure]
    ranks: dict[str, RankColumn]
    waits: list[Waiting] = []
    slow_slots: list[SlowSlot] = []
    nothing: list[str] | None = None
    missing: dict[str, str] = {}
    evidence: list[Evidence] = []
    warnings: list[str] = []


def sampling(
    snapshot: FigureSnapshot, unit: Unit, typical: Number, run_spread: float | None = None
) -> Sampling:
    """How a figure with that unit and value was sampled; `run_spread` replaces `RUN_SPREADS`."""
    scale = scale_of(unit, typical, snapshot.job["step_ns"].typical)
    return Sampling.of(snapshot.identity.source, snapshot.steps, scale, run_spread)
