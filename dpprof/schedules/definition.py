"""What a schedule's own file declares: its order, placement, size rule and promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.schedules.actions import Slot
from dpprof.schedules.schedule import Placement


class ChunkCosts(NamedTuple):
    """How long the operations of one stage's chunk take, in nanoseconds, the same on every stage.

    `backward_ns` is the full backward B, of which `input_gradient_ns` is I and
    `weight_gradient_ns` W; `pair_ns` is an overlapped forward and full backward, F&B.
    """

    forward_ns: int
    backward_ns: int
    input_gradient_ns: int
    weight_gradient_ns: int
    pair_ns: int


class Bubble(NamedTuple):
    """A schedule's idle time within the span of the whole step, per rank, messages being free."""

    published_ns: int | None
    """The authors' closed form, one figure for all ranks; None where there is none."""
    ranks_ns: tuple[int, ...] | None
    """What dependencies and costs alone leave idle on every rank; None where no form is known."""
    note: str = ""
    """Why a figure is missing, or where the published one does not hold."""


@dataclass(frozen=True)
class ScheduleTheory:
    """What a schedule promises for given sizes and chunk costs (metrics.md, section 7)."""

    form: str
    """The published bubble in words, PP counting stages: ``(PP-1)(F+B)``; empty: none."""
    bubble: Bubble
    stages_per_device: int
    """The "parameters" column: 1x or 2x one stage's parameters on every device."""
    activation_chunks: int
    """The most chunks of activations that any device holds at once."""
    devices: int

    @property
    def exact_ranks(self) -> tuple[int, ...]:
        """Pipeline ranks on which the published form is known to hold with these costs."""
        published, ranks_ns = self.bubble.published_ns, self.bubble.ranks_ns
        if published is None or ranks_ns is None:
            return ()
        return tuple(pp_rank for pp_rank, idle in enumerate(ranks_ns) if idle == published)


@dataclass(frozen=True)
class Definition:
    """A schedule by name: pure functions of the number of pipeline ranks and micro-batches.

    ``rank_slots(pp_rank, pp, micro_batches)`` gives a rank's slots in order, ``placement(pp)``
    says which stages the rank runs, ``size_rule(pp, micro_batches)`` says what is wrong with the
    sizes and what to do, or nothing, and ``theory(pp, micro_batches, costs)`` gives the figures
    that the schedule's authors claim.
    """

    name: str
    summary: str
    placement: Callable[[int], Placement]
    size_rule: Callable[[int, int], str | None]
    theory: Callable[[int, int, ChunkCosts], ScheduleTheory]
    rank_slots: Callable[[int, int, int], Iterator[Slot]]
