"""Megatron-LM core: 1F1B, interleaved, and the combined steps that hide expert communication.

Its functions do not say which micro-batch they run, so calls are counted; the reader tells the
chunks of an interleaved pipeline by their order. Only the combined steps of an interleaved
pipeline are given what names their chunks and micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpprof.instrument.adapters.contract import Adapter, Pipeline
from dpprof.instrument.adapters.counting import CallCounter

_SCHEDULES = "megatron.core.pipeline_parallel.schedules"
_COMBINED = "megatron.core.pipeline_parallel.combined_1f1b"
_count = CallCounter()
_F_MODEL, _B_MODEL = 2, 6
"""Where `combined_forward_backward_step` takes what it runs forward and what backward."""


def _forward(*_: Any, **__: Any) -> str:
    return _count.next("F")


def _backward(*_: Any, **__: Any) -> str:
    return _count.next("B")


_INTERLEAVED = "combined_1f1b_schedule_for_interleaved_pipelining"
_MICRO_BATCH_OF, _CHUNK_OF = 10, 11
"""Where that function takes the two that tell what a step of an interleaved pipeline runs."""

_told: list[str] = []
"""The slot of the combined step that comes next, where the schedule around it has named it."""


def _name_next(*arguments: Any, **named: Any) -> None:
    """Take down the slot of the combined step within; it is the slot, this function is none."""

    def given(position: int, name: str) -> Callable[..., int]:
        told: Callable[..., int] = arguments[position] if len(arguments) > position else named[name]
        return told

    micro_batch_of = given(_MICRO_BATCH_OF, "get_microbatch_id_in_model_chunk")
    chunk_of = given(_CHUNK_OF, "get_model_chunk_id")
    parts = []
    for operation, is_forward in (("F", True), ("B", False)):
        turn = named.get(f"{operation.lower()}_virtual_microbatch_id")
        if turn is not None:
            chunk = chunk_of(turn, forward=is_forward)
            # Backwards take their micro-batches in the order of the forwards.
            parts.append(f"{operation}{chunk}.{micro_batch_of(turn, forward=True)}")
    _told[:] = ["&".join(parts)] if parts else []


def _combined(*arguments: Any, **named: Any) -> str | None:
    if _told:
        return _told.pop()
    parts = []
    if _given(arguments, named, _F_MODEL, "f_model"):
        parts.append(_count.next("F"))
    if _given(arguments, named, _B_MODEL, "b_model"):
        parts.append(_count.next("B"))
    return "&".join(parts) or None


def _given(arguments: Any, named: Any, position: int, name: str) -> bool:
    value = arguments[position] if len(arguments) > position else named.get(name)
    return value is not None


def _trains(*_: Any, forward_only: bool = False, **__: Any) -> bool:
    _count.start_over()
    _told.clear()
    return not forward_only


def _pipeline(*_: Any, model: Any = None, **__: Any) -> Pipeline | None:
    from megatron.core import parallel_state  # type: ignore[import-not-found]

    if not parallel_state.model_parallel_is_initialized():
        return None
    rank = parallel_state.get_pipeline_model_parallel_rank()
    pp = parallel_state.get_pipeline_model_parallel_world_size()
    return Pipeline(
        pp_rank=rank,
        pp=pp,
        dp_rank=parallel_state.get_data_parallel_rank(),
        stages=tuple(rank + chunk * pp for chunk in range(_named_chunks(model))),
    )


def _named_chunks(model: Any) -> int:
    """How many chunks the model has, where its slots name them; else 0."""
    if not isinstance(model, list) or len(model) < 2:
        return 0
    config = getattr(model[0], "config", None)
    return len(model) if getattr(config, "overlap_moe_expert_parallel_comm", False) else 0


ADAPTERS = (
    Adapter(
        name="megatron",
        module=_SCHEDULES,
        slots={
            "forward_step": _forward,
            "backward_step": _backward,
            "backward_step_multimodule": _backward,  # of models with several encoders
            _INTERLEAVED: _name_next,
        },
        steps={
            "forward_backward_no_pipelining": _pipeline,
            "forward_backward_pipelining_without_interleaving": _pipeline,
            "forward_backward_pipelining_with_interleaving": _pipeline,
        },
        training=_trains,
    ),
    Adapter(
        name="megatron",
        module=_COMBINED,
        slots={_INTERLEAVED: _name_next, "combined_forward_backward_step": _combined},
    ),
)
