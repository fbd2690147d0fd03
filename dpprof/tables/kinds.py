"""The kinds of device activity and the states of a rank, in the order that decides ties."""

from __future__ import annotations

COMPUTE = "compute"
MEMORY = "memory"
FUSED = "fused"
"""Communication and computation in one kernel, and the state of a rank while one runs."""

COMMUNICATION_KINDS = (
    "p2p",
    "dispatch",
    "combine",
    "all_to_all",
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "broadcast",
    "comm_other",
)
"""Earlier kinds win where several transfers are under way at once."""

KINDS = (COMPUTE, *COMMUNICATION_KINDS, MEMORY, FUSED)

EVIDENCE_FIELDS = ("name", "collective", "group", "annotation", "call")
"""What a rule for kinds can look at: the activity's name, or what is known of its launch."""

COMPUTE_ONLY = "compute_only"
"""Computing and no transfer under way; with `OVERLAP`, it is what every table calls compute."""
OVERLAP = "overlap"
EXPOSED_STATES = tuple(f"exposed.{kind}" for kind in COMMUNICATION_KINDS)

BUBBLE_WARMUP = "bubble.warmup"
BUBBLE_COOLDOWN = "bubble.cooldown"
BUBBLE_DEPENDENCY = "bubble.dependency"
BUBBLE_STRAGGLER = "bubble.straggler"
BUBBLE_HOST = "bubble.host"
BUBBLE_OTHER = "bubble.other"

BUBBLE_STATES = (
    BUBBLE_WARMUP,
    BUBBLE_COOLDOWN,
    BUBBLE_DEPENDENCY,
    BUBBLE_STRAGGLER,
    BUBBLE_HOST,
    BUBBLE_OTHER,
)

STATES = (COMPUTE_ONLY, OVERLAP, *EXPOSED_STATES, MEMORY, FUSED, *BUBBLE_STATES)
"""Every instant of a rank's step window is in exactly one of these."""
