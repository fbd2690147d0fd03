"""Megatron-LM core: 1F1B, interleaved, and the combined steps that hide expert communication.

Its functions do not say which micro-batch they run, so calls are counted; the reader tells the
chunks of an interleaved pipeline by their order.
"""

from __future__ import annotations

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


def _combined(*arguments: Any, **named: Any) -> str | None:
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
    return not forward_only


def _pipeline(*_: Any, **__: Any) -> Pipeline | None:
    from megatron.core import parallel_state  # type: ignore[import-not-found]

    if not parallel_state.model_parallel_is_initialized():
        return None
    return Pipeline(
        pp_rank=parallel_state.get_pipeline_model_parallel_rank(),
        pp=parallel_state.get_pipeline_model_parallel_world_size(),
        dp_rank=parallel_state.get_data_parallel_rank(),
    )


ADAPTERS = (
    Adapter(
        name="megatron",
        module=_SCHEDULES,
        slots={"forward_step": _forward, "backward_step": _backward},
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
        slots={"combined_forward_backward_step": _combined},
    ),
)
