"""A thing that can be taken out of a run, and what its replay is timed with then."""

from __future__ import annotations

from dataclasses import dataclass, field

from dpprof.costs.profile import MessageCost
from dpprof.findings.replay import Lengths

SLOWER = 1.02
"""Ratio from which on a rank or slot is slow; what is less is worth less than that of the step."""
GAP_KNOB = (
    "time passes between components: synchronisations with the host (.item(), .cpu(), "
    "CUDA_LAUNCH_BLOCKING), launches (CUDA graphs), garbage collection (Megatron --manual-gc)"
)


@dataclass(frozen=True)
class Change:
    """One thing taken out of a run; `length_ns`, `late_ns`, `message` as in `Replay.step_ns`."""

    what: str
    text: str
    knob: str
    ranks: tuple[int, ...] = ()
    slots: tuple[str, ...] = ()
    length_ns: Lengths | None = field(default=None, repr=False)
    late_ns: Lengths | None = field(default=None, repr=False)
    message: MessageCost | None = None
