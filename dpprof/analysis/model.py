"""The shape of a report: what `dpprof analyze --format json` writes and every view reads.

All times are integer nanoseconds and shares lie in 0..1. Sums run over the used steps, so that
they add up exactly; what is per step says so. None is "not known" or "there is none".
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dpprof.evidence.evidence import Evidence
from dpprof.runs.manifest import Source

KINDS_SCHEMA_VERSION = 1


REPORT_SCHEMA_VERSION = 2

CauseKind = Literal["input", "receiver", "collective", "launch", "host"]
"""What a bubble waits for (see `dpprof.analysis.events.causes`)."""

Bound = Literal["at_least", "at_most"]
"""What a figure is of the true one, where it is known in part (see `bounds` of the figures)."""


class KindFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Transfers of one communication kind: union over lanes, hidden + exposed = total.

    `hidden_reason` says why no share of it is claimed to be hidden: hidden and exposed are then
    only what the kernels show; where there is none, it is left out. `bounds` are
    those of `TimeFigures`, for a kind.
    """

    total_ns: int
    hidden_ns: int
    exposed_ns: int
    wait_ns: int | None  # of what was split; None: nothing was
    unsplit_ns: int = 0  # of what was not: waiting is counted as transfer there
    hidden_reason: str | None = None
    blocking_ns: int | None = None  # of the transfer, in which other work waits for it
    bounds: dict[str, Bound] = {}


class IncludingWait(msgspec.Struct, frozen=True, kw_only=True):
    """Whole communications with what they waited, for comparison with other tools.

    ``|comm|``, ``|comm and compute|``, the difference and the share: unions over lanes and over the
    used steps at once (metrics.md, section 5).
    """

    communication_ns: int = 0
    hidden_ns: int = 0
    exposed_ns: int = 0
    hidden_share: float | None = None


class TimeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Where time went; ``sum(states_ns.values()) == window_ns``.

    `communication_ns` is the union of transfers of all kinds, hidden + exposed; `wait_ns` the
    time in which at least one operation waited for its peers, computing or not: of those that were
    matched with their peers' (None where none was), and `unsplit_ns` the time of the others, so
    that where it is not 0 the waiting is "at least" that. `hidden_reason`
    says why there is no share of hidden communication. `including_wait` counts waiting as
    communication, as other tools do. `blocking_ns` is the time in which other work of the device
    waits for a transfer, exposed or not; None where the trace does not record what waits for what.
    `bounds` says which figures are known in part, as some communication is not split: the truth is
    ``at_least``, or ``at_most``, what is written. It is left out where all are known.
    """

    window_ns: int
    states_ns: dict[str, int]
    bubble_ns: int
    bubble_share: float | None
    communication_ns: int
    hidden_ns: int
    exposed_ns: int
    wait_ns: int | None
    unsplit_ns: int = 0
    hidden_share: float | None
    hidden_reason: str | None = None
    including_wait: IncludingWait
    blocking_ns: int | None = None
    by_kind: dict[str, KindFigures]
    bounds: dict[str, Bound] | UnsetType = UNSET


class MemoryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The memory peak of a rank over the used steps, and what it is made of.

    `in_flight` counts the micro-batches per direction whose activations were held at the peak;
    `predicted_in_flight` is the most, over both directions, that the schedule lets the rank hold,
    `predicted_bytes` the peak that follows. The parts add up to the peak where all are known;
    without a memory snapshot, activations are all that is not static. `torch_peak_bytes` is
    torch's own ``max_memory_allocated``. `reasons` says why figures are missing.
    """

    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    at_ns: int | None = None
    step: int | None = None
    slot: str | None = None
    in_flight: dict[str, int] | None = None
    parameter_bytes: int | None = None
    gradient_bytes: int | None = None
    optimizer_bytes: int | None = None
    activation_bytes: int | None = None
    communication_bytes: int | None = None
    rest_bytes: int | None = None
    torch_peak_bytes: int | None = None
    predicted_in_flight: int | None = None
    predicted_bytes: int | None = None
    reasons: list[str] = []


class RankFigures(TimeFigures, frozen=True, kw_only=True):
    """One rank over the used steps, or one device of a rank that has several.

    `rank` is the number of the row (`dpprof.tables.devices`): in JSON, that of the rank.
    """

    rank: int
    device: int | None = None
    pp_rank: int
    stages: list[int]
    memory: MemoryFigures


class TotalMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The largest peak of any rank, and whose it is."""

    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    rank: int | None = None


class TotalFigures(TimeFigures, frozen=True, kw_only=True):
    """The same, added up over the ranks: `window_ns` is the sum of the ranks' windows."""

    memory: TotalMemory


class StepRank(TimeFigures, frozen=True, kw_only=True):
    """One rank in one used step; its peak is None where the trace has no memory curve."""

    rank: int
    peak_allocated_bytes: int | None = None


class StepFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One used step: `states_ns` over all ranks, then every rank; a sample of every metric.

    The times of a rank's steps add up to those of its `RankFigures` exactly.
    """

    step: int
    start_ns: int
    window_ns: int
    states_ns: dict[str, int]
    ranks: list[StepRank] = []


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline stage: the ranks that hold it and the largest memory peak among them."""

    stage: int
    ranks: list[int]
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


class IdealRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank in the ideal step, and where the measured one differs.

    `difference_ns` goes from ideal to measured: ``slots`` is the change of the time inside
    schedule slots, every other key a state of the time outside them; together they are the
    difference of the windows exactly.
    """

    rank: int
    pp_rank: int
    bubble_ns: int
    busy_ns: int
    measured_outside_slots_ns: int
    difference_ns: dict[str, int]


class Ideal(msgspec.Struct, frozen=True, kw_only=True):
    """What the schedule allows with the measured chunk costs and free messages.

    Times are over all used steps, as in the rest of the report; ``window_ns / steps`` is one
    step. `bubble_ns` and `closed_form_ns` are of one rank: the most that any rank idles (its
    window less its slots), and the published form of metrics.md section 7.
    """

    steps: int
    window_ns: int
    bubble_ns: int
    closed_form_ns: int | None
    closed_form: str
    note: str
    chunk_ns: list[dict[str, int]]  # per pipeline rank: operation -> median slot length
    ranks: list[IdealRank]


class RegionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A bubble region; `offset_ns` counts from the start of the step window.

    `cause` is what was waited for, by `cause_kind`: the action that makes an input or that a
    receiver waits to take, the kind of a collective, the name of a late launch, what the host did.
    """

    rank: int
    step: int
    start_ns: int
    end_ns: int
    offset_ns: int
    length_ns: int
    state: str
    phase: Literal["warmup", "steady", "cooldown"]
    cause_kind: CauseKind | None
    cause: str | None
    cause_rank: int | None
    cause_group: str | None
    slot: str | None


class PathFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The critical path of the used steps: how long it runs through what, and on which rank.

    `by_kind_ns` has kinds of activity, ``host`` (a launch came late) and ``idle``; each of both
    adds up to the step windows. `messages` counts how often it goes from one rank to another.
    """

    by_kind_ns: dict[str, int]
    by_rank_ns: dict[int, int]
    messages: int


class ClockFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A rank's clock beside others that contradict it, and the correction that was made.

    ``shift_ns + drift_ppm * 1e-6 * (t - from_ns)`` was added to the rank's times t; what is left
    is at most plus or minus `residual_ns` (None: bounded from one side only).
    """

    rank: int
    shift_ns: int
    drift_ppm: float
    from_ns: int
    residual_ns: int | None
    matched: int
    contradicted: int


class StepCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many steps were accounted and dropped; `warmup` of the dropped the profiler's own."""

    used: int
    dropped: int
    warmup: int = 0


class WaitedFor(msgspec.Struct, frozen=True, kw_only=True):
    """A rank that others waited for: the length of the listed bubble regions that name it."""

    rank: int
    bubble_ns: int


class SlowSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot that stands out among its siblings; times are medians over the used steps.

    `what` is ``compute``, or ``host`` for time in which it neither computed nor communicated.
    """

    rank: int
    slot: str
    what: Literal["compute", "host"]
    length_ns: int
    siblings_ns: int
    excess_ns: int


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """What took far longer in one step than in the others: a slot, or (empty) the rank's step.

    `what` is that of `SlowSlot`; `usual_ns` is the median over the used steps.
    """

    rank: int
    step: int
    slot: str
    what: Literal["compute", "host"]
    length_ns: int
    usual_ns: int
    excess_ns: int


class SlowerRank(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline rank that computes clearly more than the others; times are of one step.

    `others_ns` is the median of the other ranks, operation by operation; `excess_by_operation_ns`
    adds up to `excess_ns`, and is empty where ranks run other numbers of slots of an operation.
    `cost_ns` is how much shorter the ideal step would be if the rank's slots took what theirs do.
    """

    pp_rank: int
    stages: list[int]
    compute_ns: int
    others_ns: int
    excess_ns: int
    excess_by_operation_ns: dict[str, int]
    cost_ns: int


class LayerLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How a layer's experts were used. A skew is the busiest one's rows over the mean; 1 is even.

    `expert_skew` is that of the experts, `skew` of the ranks as they held them; `placed_skew` what
    it would be with the experts placed by this load, `copied_skew` with one more slot on every
    rank for copies of the busiest. None where no row was routed.
    """

    layer: int
    rows: int
    busiest_expert: int
    expert_skew: float | None
    skew: float | None
    placed_skew: float | None
    copied_skew: float | None


class ExpertFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The use of experts over all steps of the run, warm-up included."""

    ranks: int  # expert-parallel ranks
    experts: int
    slots: int  # on all ranks; more than experts where some are there twice
    layers: list[LayerLoad]


class HalvesFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Low-latency all-to-alls of a rank whose calls are a send and a receive kernel each.

    Over the used steps: `send_ns` and `receive_ns` in the kernels, `between_ns` from the end of
    each send to the start of its receive, and `possible_ns` of that with computing, which may hide
    the transfer: at most so much, and nothing tells how much.
    """

    rank: int
    kind: str
    calls: int
    send_ns: int
    receive_ns: int
    between_ns: int
    possible_ns: int


SLOW_RANK = "slow rank"
"""What a finding is called that a rank computes longer than its peers."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something whose end would make a step shorter, by `gain_ns` a step when timed without it.

    The gain is an upper bound, of this alone: gains of several findings do not add up. `share` is
    that of the step. `ranks` are pipeline ranks (empty: all), `stages` theirs; `confidence` is
    ``high`` where the steps agree, ``medium`` for one step, else ``low``; `knob` is what to change.
    """

    what: str
    ranks: list[int]
    stages: list[int]
    slots: list[str]
    gain_ns: int
    share: float
    confidence: str
    knob: str
    text: str


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
