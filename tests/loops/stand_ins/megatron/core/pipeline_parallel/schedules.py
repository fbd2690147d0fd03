"""Stand-in for Megatron's schedules: its functions, and nothing of its code."""

from __future__ import annotations

from follow import compute, follow

from .combined_1f1b import combined_1f1b_schedule_for_interleaved_pipelining


def forward_step() -> None:
    compute("F")


def backward_step() -> None:
    compute("B")


def _act(slot) -> None:
    if slot[0].operation.value == "F":
        forward_step()
    else:
        backward_step()


def _combined(slot) -> None:
    """One step with its virtual micro-batches: chunk and micro-batch in one number, here."""
    turns = {f"{one.operation.value.lower()}_virtual_microbatch_id": one for one in slot}
    combined_1f1b_schedule_for_interleaved_pipelining(
        *[None] * 10,
        lambda turn, forward: turn.micro_batch,
        lambda turn, forward: turn.direction,
        **turns,
    )


def forward_backward_pipelining_without_interleaving(*, num_microbatches: int, forward_only: bool):
    follow("1f1b", num_microbatches, _act)


def forward_backward_pipelining_with_interleaving(
    *, num_microbatches: int, forward_only: bool, model
):
    if model[0].config.overlap_moe_expert_parallel_comm:
        follow("combined-1f1b", num_microbatches, _combined)
    else:
        follow("interleaved-1f1b", num_microbatches, _act)
