"""Times and memory of a report, of ranks, stages and steps; conventions as in `model`."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

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
