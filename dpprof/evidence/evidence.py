"""One thing that is amiss in a trace or a run, and the figures that it touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STEP_TIME = ("step_ns", "window_ns")
STATES_TIME = ("states_ns", "compute_ns", "bubble_ns", "bubble_share", "critical_path", "ideal")
COMMUNICATION = (
    "communication_ns",
    "hidden_ns",
    "exposed_ns",
    "hidden_share",
    "by_kind",
    "including_wait",
)
WAITING = ("wait_ns", "unsplit_ns", "blocking_ns", "bubble.dependency", "bubble.straggler")
MEMORY = ("peak_allocated_bytes", "peak_reserved_bytes")
DEVICE_TIME = (*STATES_TIME, *COMMUNICATION, *WAITING)
"""Names for `Evidence.touches`; `DEVICE_TIME` is all that is taken from device activities."""

CLOCK_JUMP = "clock-jump"
"""The check of a rank whose own clock jumps: nothing on it tells when a step of the job ended."""


@dataclass(frozen=True)
class Evidence:
    """A check of metrics.md, section 8, that found something amiss.

    `check` is its name in lower case with hyphens, `found` how many of `of` are amiss. `ranks` are
    those it is about; empty: the job. `touches` names the figures that cannot be claimed for them
    as they stand (see `dpprof.evidence.figures`). `text` says it in a sentence, with the file or
    the ranks, what was done about it, and what to do.
    """

    check: str
    found: int
    of: int
    ranks: tuple[int, ...]
    touches: tuple[str, ...]
    text: str


def texts(evidence: Iterable[Evidence]) -> list[str]:
    """What is amiss in words, each once."""
    return list(dict.fromkeys(one.text for one in evidence))


def without_jumping(ranks: Iterable[int], evidence: Iterable[Evidence]) -> frozenset[int]:
    """The ranks whose own clock does not jump; all of them where every rank's does."""
    known = frozenset(ranks)
    jumping = {rank for one in evidence if one.check == CLOCK_JUMP for rank in one.ranks}
    return known - jumping or known


def others(warnings: Iterable[str], evidence: Iterable[Evidence]) -> list[str]:
    """The warnings that are no evidence's text: views show that apart."""
    said = set(texts(evidence))
    return [warning for warning in warnings if warning not in said]
