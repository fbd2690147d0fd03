"""Stand-in for Megatron's schedules: its functions, and nothing of its code."""

from __future__ import annotations

from follow import compute, follow


def forward_step() -> None:
    compute("F")


def backward_step() -> None:
    compute("B")


def _act(slot) -> None:
    if slot[0].operation.value == "F":
        forward_step()
    else:
        backward_step()


def forward_backward_pipelining_without_interleaving(*, num_microbatches: int, forward_only: bool):
    follow("1f1b", num_microbatches, _act)


def forward_backward_pipelining_with_interleaving(*, num_microbatches: int, forward_only: bool):
    follow("interleaved-1f1b", num_microbatches, _act)
