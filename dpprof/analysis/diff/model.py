"""The shape of a diff: what ``dpprof diff --format json`` writes and every view of it reads.

**Times are integer nanoseconds over a common number of steps and ranks**, so that everything adds
up exactly although the sides may differ in both: figures of the job count `Diff.steps` steps of
`Diff.rank_count` ranks, those of one rank `Diff.steps` steps. These are the least common multiples
of the two sides' counts (each side's own sums times a whole number), so dividing by them gives
nanoseconds per step, as the mean of the ranks, for both sides alike. ``change_ns`` is always
``new_ns - base_ns``. None is "not known", with a reason beside it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dpprof.analysis.observations import SlowSlot
from dpprof.evidence.evidence import Evidence
from dpprof.runs.manifest import Source

DIFF_SCHEMA_VERSION = 2

Presence = Literal["both", "added", "removed"]
"""Whether work is on both sides, only in NEW, or only in BASE."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A change with its 95 % interval, in nanoseconds per step, mean of ranks.

    Steps are the samples, trimmed as a gate does; the interval includes by how much such runs are
    taken to differ when made again. `significant` is what a gate with a rule on this figure alone
    says: as large a change has a chance of 1 % at most.
    """

    change_ns: float
    low_ns: float
    high_ns: float
    significant: bool


class BubbleCause(msgspec.Struct, frozen=True, kw_only=True):
    """What ended a bubble, the same for every chunk and in every schedule.

    `kind` is what was waited for (as `RegionFigures.cause_kind`; all that the host does is
    ``launch``), or where nothing was, what the bubble reaches to. `operation` is that of the slot
    whose output was waited for or which was launched late, or the kind of a collective; `rank` is
    the peer, in the parts of one rank alone.
    """

    kind: Literal[
        "input", "receiver", "collective", "launch", "start_of_step", "end_of_step", "not_known"
    ]
    operation: str | None = None
    rank: int | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A time on both sides, and what it is made of.

    Where there are `parts`, their `base_ns`, `new_ns` and `change_ns` add up to this one's
    exactly. A part that is taken off (communication that computing hides, seen from what is
    exposed) is negative. `effect` is None where a side has one step, and below the states.
    Parts of a bubble state have a `cause`; their `name` is its operation, or its kind.
    """

    name: str
    base_ns: int
    new_ns: int
    change_ns: int
    effect: Effect | None = None
    cause: BubbleCause | None = None
    parts: list[Part] = []


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on both sides; `change_bytes` is None where a side is not known.

    `parts` share out the change alone: activations changed by so much because more or fewer
    micro-batches were in flight, and by so much because each takes more or less.
    """

    name: str
    base_bytes: int | None
    new_bytes: int | None
    change_bytes: int | None
    parts: list[Bytes] = []


class MemoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A memory peak on both sides.

    `parts` (parameters, gradients, optimizer state, activations, ...; what a side does not tell
    apart is one) add up to the peaks and to the change exactly; empty where a peak is not known.
    `base_rank` and `new_rank` are the ranks that have it. `reasons` says why figures are missing.
    """

    base_bytes: int | None
    new_bytes: int | None
    change_bytes: int | None
    base_rank: int | None
    new_rank: int | None
    parts: list[Bytes] = []
    reasons: list[str] = []


class RankDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One rank on both sides; the sides may number it differently.

    `time` is its window by state, like `Diff.time`; `work` its computing like `Diff.work`, with
    ``moved in`` and ``moved out`` beside the other parts: work of the other side's that this
    rank does, or does no longer. Over the ranks they add up to the job's.
    """

    base_rank: int
    new_rank: int
    base_stages: list[int]
    new_stages: list[int]
    time: Part
    work: Part
    memory: MemoryDiff


class StageDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline stage on both sides, whichever ranks hold it.

    `time` has the states of the activities of the stage's chunks, and the bubbles in which a slot
    of the stage could not start. `stage` is None for what belongs to no stage. Together the
    stages are the job. `memory` is the largest peak among the ranks that hold the stage, all
    their stages together; None without a stage.
    """

    stage: int | None
    base_ranks: list[int]
    new_ranks: list[int]
    time: Part
    memory: MemoryDiff | None


class SlotDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to one micro-batch on one stage, on both sides.

    `operation` is F, I or W, or B where a side does not tell I from W; `micro_batch` counts all
    micro-batches of the step (see `Alignment`). `base_slot` and `new_slot` are the slots it ran
    in, with their ranks. Times are of the activities: compute, overlap, exposed communication,
    memory; not the gaps between them.
    """

    stage: int | None
    micro_batch: int | None
    operation: str
    presence: Presence
    base_slot: str | None
    new_slot: str | None
    base_ranks: list[int]
    new_ranks: list[int]
    base_ns: int
    new_ns: int
    change_ns: int


class KernelDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Activities of one name, or of names that differ only as `rule` says; `title` is for people.

    `rule` is ``same`` (the names are equal), ``arguments`` (template and call arguments, numbers
    and autotune suffixes differ), ``family`` (matrix products of other tiles or architectures)
    or empty where the other side has nothing alike. Times are of the states they were counted
    in; calls over `Diff.steps` steps of `Diff.rank_count` ranks.
    """

    kind: str
    title: str
    rule: Literal["same", "arguments", "family", ""]
    presence: Presence
    base_names: list[str]
    new_names: list[str]
    base_calls: int
    new_calls: int
    base_ns: int
    new_ns: int
    change_ns: int


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """The slots that changed most; with `others` they add up to all activities of slots."""

    rows: list[SlotDiff]
    others: Part
    others_count: int


class Kernels(msgspec.Struct, frozen=True, kw_only=True):
    """The kernels that changed most; with `others` they add up to all activities."""

    rows: list[KernelDiff]
    others: Part
    others_count: int


class Theory(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one side: measured, what the simulator gives for its own costs, and the form.

    `closed_form` is what `form` (the published formula) gives; `reason` says why one is missing.
    """

    measured: float | None
    ideal: float | None = None
    closed_form: float | None = None
    form: str = ""
    reason: str = ""


class TheoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that schedules are chosen by, on both sides, beside what the schedules promise.

    ``parameters``: bytes per rank (the form: in stages). ``activations``: the most micro-batches
    in flight on a rank. ``bubble``: nanoseconds per step of the rank that idles most.
    ``throughput``: tokens per second.
    """

    name: Literal["parameters", "activations", "bubble", "throughput"]
    unit: Literal["bytes", "chunks", "ns", "tokens/s"]
    base: Theory
    new: Theory


class DiffSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs. `ranks` are those compared, `steps` how many were used.

    `evidence` is what is amiss in it; its texts are the first of `warnings`. `unsplit_ns` is the
    communication per step, mean of its ranks, that is not told from waiting: where it is not 0,
    bubbles are at least what they are here, exposed communication and overlap at most.
    """

    name: str
    source: Source
    schedule: str | None
    pp: int | None
    micro_batches: int | None
    world_size: int
    device: str | None
    ranks: list[int]
    steps: int
    step_ns: float
    unsplit_ns: float = 0
    tokens_per_second: float | None
    evidence: list[Evidence] = []
    warnings: list[str]


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """How work of one side was found on the other.

    `by` lists what identifies a piece of work on both sides, of stage, micro_batch, operation,
    component and layer; empty where neither is labelled, and work is matched by kernel alone.
    Micro-batches are numbered through all streams: micro-batch k of DualPipe's second direction
    comes after those of the first. `note` says what could not be aligned.
    """

    by: list[str]
    note: str = ""


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the runs that is not the same: what, and on each side."""

    what: str
    base: str
    new: str


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from BASE to NEW, and why.

    `time` is the step window by state: ``step`` = computing (compute, overlap) + exposed (by
    kind; each is its transfers less what computing hides and less what lies under another kind's
    transfers) + memory + bubble (by state, phase, and what was waited for). `work` is computing
    again: ``same work`` (slower or faster), ``added`` and ``removed``, each by operation.
    `operations` is all activity by operation and state. `critical_path` is one window per step,
    over `steps` steps, by kind (`time` has it once for every rank); None where a side has none.
    `ranks` is empty, with the reason in `notes`, where ranks do not correspond.
    `slow_slots` are those of NEW that stand out among their siblings, and did not in BASE.
    `unknown_effects` is why there are no effects, empty where there are.
    """

    schema_version: int = DIFF_SCHEMA_VERSION
    base: DiffSide
    new: DiffSide
    steps: int
    rank_count: int
    differs: list[Differs]
    notes: list[str]
    alignment: Alignment
    unknown_effects: str
    time: Part
    work: Part
    operations: Part
    critical_path: Part | None
    ranks: list[RankDiff]
    stages: list[StageDiff]
    slots: Slots
    slow_slots: list[SlowSlot] = []
    kernels: Kernels
    memory: MemoryDiff
    theory: list[TheoryDiff]
