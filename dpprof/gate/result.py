"""The shape of a gate's result: what ``dpprof gate --format json`` writes."""

from __future__ import annotations

from typing import Literal

import msgspec

from dpprof.analysis.observations import SlowSlot
from dpprof.evidence.evidence import Evidence
from dpprof.gate.identity import Mismatch
from dpprof.statistics.figure import Number, Unit

GATE_SCHEMA_VERSION = 2

Status = Literal["passed", "failed", "cannot_tell", "not_significant", "missing", "skipped"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A rule on the job or on one rank.

    `limit` is the value that breaks the rule; `reference` what it was compared with (baseline or
    ideal). `interval` is the change with 95 % confidence, or the value where there is no
    reference; what is not compared with a baseline is not significant where its interval holds
    the limit. `chance` is the probability of such a change where nothing has changed, adjusted
    for all comparisons of the gate (Holm); `detectable` the smallest change that this spread
    would let be told. None where there is none, or where one step leaves the spread unknown.
    A check that cannot tell has what the evidence lacks as its reason.
    """

    rank: int | None
    status: Status
    value: Number | str | None
    limit: Number | str | None
    reference: Number | None = None
    change: float | None = None
    relative: float | None = None
    interval: tuple[float, float] | None = None
    chance: float | None = None
    detectable: float | None = None
    reason: str = ""


class RuleResult(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with all its checks, the worst first; its status is the worst's."""

    rule: str
    metric: str
    unit: Unit
    default: bool
    compares_with: Literal["baseline", "ideal"] | None
    status: Status
    checks: list[Check]


Cause = Literal[
    "computes_longer",
    "transfers_longer",
    "less_hidden",
    "host_late",
    "copies_longer",
    "idles",
    "waits",
    "holds_more",
]


class GateFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What got worse where: `ranks` of which `kind` of activity, and by what `cause`.

    `change` is the mean over these ranks of the change of `metric` against the baseline.
    `affected_ranks` are other ranks that wait longer, `affected_wait_ns` each in the mean. For
    communication, `hidden_share` is that of these ranks in the baseline and now; for memory, `part`
    is what grew most. Where ranks only wait longer, most of that is for rank `waits_for`; None
    where no rank is known.
    """

    ranks: list[int]
    stages: list[int]
    kind: str
    cause: Cause
    metric: str
    unit: Unit
    change: float
    relative: float | None
    affected_ranks: list[int] = []
    affected_wait_ns: float = 0.0
    hidden_share: tuple[float, float] | None = None
    part: str | None = None
    waits_for: int | None = None


class LargestBubble(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bubble that breaks a limit is largest, and for whom that rank waits longest.

    `state` is the largest of the bubble; `waits_for_ns` is of all of the bubble, not of the state.
    """

    rank: int
    stages: list[int]
    bubble_ns: Number
    state: str
    state_ns: Number
    waits_for: int | None
    waits_for_ns: Number = 0


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule with its checks, and who changed.

    `findings` are largest first; `slow_slots` are those of the run that stand out and did not in
    the baseline, where a limit on time is broken. `accepted_differences` lists in what the run was
    allowed to differ from the baseline. `run_spread` is how much the means of runs were taken to
    vary, as a part of the step time (a standard deviation); None where that went into nothing.
    `evidence` is
    what is amiss in the run and its baseline; where `allow_missing`, rules were judged all the
    same. `cannot_tell`: no limit is known to be broken, but of some that is not known.
    """

    schema_version: int = GATE_SCHEMA_VERSION
    passed: bool
    cannot_tell: bool = False
    runs: list[str]
    steps: list[int]
    source: str
    baseline: str | None
    baseline_steps: list[int] = []
    run_spread: float | None = None
    rules: list[RuleResult]
    findings: list[GateFinding] = []
    slow_slots: list[SlowSlot] = []
    largest_bubble: LargestBubble | None = None
    accepted_differences: list[Mismatch] = []
    evidence: list[Evidence] = []
    allow_missing: bool = False
    warnings: list[str] = []
