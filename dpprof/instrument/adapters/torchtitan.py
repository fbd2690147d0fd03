"""torchtitan: a step is its trainer's, which may run the pipeline several times.

Its pipelines are those of torch.distributed.pipelining, whose adapter knows their slots.
"""

from __future__ import annotations

from dpprof.instrument.adapters.contract import Adapter

_MODULES = "torchtitan.trainer", "torchtitan.train"  # the second until 2025

ADAPTERS = tuple(
    Adapter(name="torchtitan", module=module, steps={"Trainer.train_step": None})
    for module in _MODULES
)
