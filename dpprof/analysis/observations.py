"""What a report observes beside its figures: ideal, bubbles, path, clocks, slow slots, findings.

Times are integer nanoseconds, as in `model`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

CauseKind = Literal["input", "receiver", "collective", "launch", "host"]
"""What a bubble waits for (see `dpprof.analysis.events.causes`)."""


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


class SlowLink(msgspec.Struct, frozen=True, kw_only=True):
    """Messages between two ranks that take far longer than those of the other links.

    `message_ns` is how long a receiver that is there waits for one that is under way, `others_ns`
    the same of the other links; `excess_ns` is what that costs the receiver in a step, less what
    computing hides. `messages` are those of a step.
    """

    sender: int
    receiver: int
    messages: int
    message_ns: int
    others_ns: int
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
