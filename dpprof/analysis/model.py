"""The shape of a report: what `dpprof analyze --format json` writes and every view reads.

All times are integer nanoseconds and shares lie in 0..1. Sums run over the used steps, so that
they add up exactly; what is per step says so. None is "not known" or "there is none".
"""

from __future__ import annotations

import msgspec

from dpprof.analysis.figures import (
    RankFigures,
    StageFigures,
    StepFigures,
    TotalFigures,
)
from dpprof.analysis.observations import (
    ClockFigures,
    ExpertFigures,
    Finding,
    HalvesFigures,
    Ideal,
    Outlier,
    PathFigures,
    RegionFigures,
    SlowerRank,
    SlowLink,
    SlowSlot,
    WaitedFor,
)
from dpprof.evidence.evidence import Evidence
from dpprof.runs.manifest import Source

KINDS_SCHEMA_VERSION = 1


REPORT_SCHEMA_VERSION = 2


class StepCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many steps were accounted and dropped; `warmup` of the dropped the profiler's own."""

    used: int
    dropped: int
    warmup: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time and memory of a run went. `window_ns` is the sum of the step windows.

    `evidence` is what is amiss (metrics.md, section 8); its texts are the first of `warnings`.
    """

    schema_version: int = REPORT_SCHEMA_VERSION
    name: str
    source: Source
    schedule: str | None
    pp: int | None
    micro_batches: int | None
    world_size: int
    device: str | None
    steps: StepCounts
    window_ns: int
    step_ns: int | None  # mean window of a used step
    tokens_per_second: float | None
    model_flops_per_second: float | None
    ranks: list[RankFigures]
    total: TotalFigures
    stages: list[StageFigures]
    per_step: list[StepFigures]
    ideal: Ideal | None
    regions: list[RegionFigures]
    waited_for: list[WaitedFor] = []  # most first
    slow_slots: list[SlowSlot] = []  # most first
    outliers: list[Outlier] = []  # most first
    slow_links: list[SlowLink] = []  # most first
    slower_ranks: list[SlowerRank] = []  # most first
    evidence: list[Evidence] = []
    warnings: list[str]
    critical_path: PathFigures | None = None
    clocks: list[ClockFigures] = []
    experts: ExpertFigures | None = None
    findings: list[Finding] = []  # largest gain first
    halves: list[HalvesFigures] = []


class ExplainedKind(msgspec.Struct, frozen=True, kw_only=True):
    """Activities with the same evidence and verdict; "" where there is no such evidence.

    `matched` is false where no rule knew them and they are taken for computation; `suspect` where
    any of these ran on a lane that mostly communicates. `ranks` lists the ranks that have any.
    """

    kind: str
    rule: str
    matched: bool
    suspect: bool
    category: str
    name: str
    collective: str
    group: str
    annotation: str
    call: str
    activities: int
    total_ns: int
    ranks: list[int]


class KindReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``analyze --explain-kinds --format json`` writes; most time first."""

    schema_version: int = KINDS_SCHEMA_VERSION
    name: str
    ranks: list[int]
    kinds: list[ExplainedKind]
