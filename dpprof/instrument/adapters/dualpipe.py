"""DeepSeek's DualPipe and DualPipeV, as they published them."""

from __future__ import annotations

from collections import deque
from types import ModuleType
from typing import Any

from dpprof.errors import DpprofError
from dpprof.instrument.adapters.contract import Adapter, Pipeline
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.registry import make_schedule


def _direction(pipe: Any, phase: int) -> int:
    """DualPipe's second half of ranks numbers its phases the other way round."""
    return int(phase) ^ int(getattr(pipe, "is_in_second_half", False))


def _slot(pipe: Any, operation: str, phase: int) -> str:
    direction = _direction(pipe, phase)
    count = pipe.current_f_chunk_id if operation == "F" else pipe.current_b_chunk_id
    return f"{operation}{direction}.{count[direction]}"


def _forward(pipe: Any, phase: int) -> str:
    return _slot(pipe, "F", phase)


def _backward(pipe: Any, phase: int, enable_zb: bool = False) -> str | None:
    if pipe.forward_only:
        return None
    if not enable_zb:
        return _slot(pipe, "B", phase)
    text = _slot(pipe, "I", phase)
    _postponed(pipe).append("W" + text[1:])
    return text


def _both(pipe: Any, phase0: int, phase1: int) -> str | None:
    if pipe.forward_only:
        return None
    return f"{_slot(pipe, 'F', phase0)}&{_slot(pipe, 'B', phase1)}"


def _weight(pipe: Any) -> str | None:
    """Weight gradients are taken first in, first out."""
    waiting = _postponed(pipe)
    return waiting.popleft() if waiting and not pipe.forward_only else None


def _postponed(pipe: Any) -> deque[str]:
    found: deque[str] = pipe.__dict__.setdefault("_dpprof_postponed", deque())
    return found


def _trains(pipe: Any, *_: Any, **__: Any) -> bool:
    _postponed(pipe).clear()
    return not pipe.forward_only


def _pipeline(pipe: Any, *_: Any, num_chunks: int = 0, **__: Any) -> Pipeline:
    bidirectional = hasattr(pipe, "is_in_second_half")
    name, pp, rank = "dualpipe" if bidirectional else "dualpipev", pipe.num_ranks, pipe.rank
    other = pp - 1 - rank if bidirectional else 2 * pp - 1 - rank
    try:
        schedule = schedule_to_json(make_schedule(name, pp, num_chunks))
    except DpprofError:
        schedule = None
    return Pipeline(
        pp_rank=rank, pp=pp, micro_batches=num_chunks, stages=(rank, other), schedule=schedule
    )


def _wait_before_weights(name: str) -> Any:
    """Have messages waited for before the slot of the weight gradients, not in it."""

    def extend(module: ModuleType) -> None:
        kind = getattr(module, name)
        inner = kind._weight_chunk

        def _weight_chunk(pipe: Any) -> Any:
            if not pipe.forward_only:
                pipe._commit_and_wait_comm()  # its own first act, which finds nothing left then
            return inner(pipe)

        kind._weight_chunk = _weight_chunk

    return extend


def _adapter(name: str, module: str) -> Adapter:
    return Adapter(
        name="dualpipe",
        module=module,
        slots={
            f"{name}._forward_compute_chunk": _forward,
            f"{name}._backward_compute_chunk": _backward,
            f"{name}._forward_backward_compute_chunk": _both,
            f"{name}._weight_chunk": _weight,
        },
        steps={f"{name}.step": _pipeline},
        training=_trains,
        extend=_wait_before_weights(name),
    )


ADAPTERS = (
    _adapter("DualPipe", "dualpipe.dualpipe"),
    _adapter("DualPipeV", "dualpipe.dualpipev"),
)
