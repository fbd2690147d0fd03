"""DeepSpeed's PipelineEngine: one forward and one backward instruction a micro-batch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dpprof.instrument.adapters.contract import Adapter, Pipeline
from dpprof.instrument.adapters.counting import CallCounter

_count = CallCounter()


def _forward(*_: Any, **__: Any) -> str:
    return _count.next("F")


def _backward(*_: Any, **__: Any) -> str:
    return _count.next("B")


def _trains(*_: Any, **__: Any) -> bool:
    _count.start_over()
    return True


def _pipeline(engine: Any, *_: Any, **__: Any) -> Pipeline:
    grid = engine.grid
    return Pipeline(
        pp_rank=engine.stage_id,
        pp=engine.num_stages,
        dp_rank=grid.get_data_parallel_rank() if hasattr(grid, "get_data_parallel_rank") else 0,
        micro_batches=engine.micro_batches,
    )


def _extend(module: ModuleType) -> None:
    """Instructions are looked up in a table of the functions as they were before."""
    engine = module.PipelineEngine
    table = getattr(engine, "_INSTRUCTION_MAP", {})
    engine._INSTRUCTION_MAP = {
        instruction: getattr(engine, function.__name__, function)
        for instruction, function in table.items()
    }


ADAPTERS = (
    Adapter(
        name="deepspeed",
        module="deepspeed.runtime.pipe.engine",
        slots={
            "PipelineEngine._exec_forward_pass": _forward,
            "PipelineEngine._exec_backward_pass": _backward,
        },
        steps={"PipelineEngine.train_batch": _pipeline},
        training=_trains,
        extend=_extend,
    ),
)
