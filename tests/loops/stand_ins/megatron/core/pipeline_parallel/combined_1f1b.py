"""Stand-in for Megatron's combined steps: its functions, and nothing of its code."""

from __future__ import annotations

from follow import compute


def combined_forward_backward_step(*arguments) -> None:
    f_model, b_model = arguments[2], arguments[6]
    compute(*["F"] * (f_model is not None), *["B"] * (b_model is not None))


def combined_1f1b_schedule_for_interleaved_pipelining(
    *arguments, f_virtual_microbatch_id=None, b_virtual_microbatch_id=None
) -> None:
    models = f_virtual_microbatch_id, b_virtual_microbatch_id
    combined_forward_backward_step(None, None, models[0], 0, None, [], models[1])
