"""Loops without a pipeline (DDP, FSDP2, HF Trainer, Lightning): a step ends with the optimizer's.

Data loading and the optimizer are regions of torch's own in every trace.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dpprof.instrument.adapters.contract import Adapter
from dpprof.instrument.adapters.patching import guarded, step_ended

NAME = "optimizer"


class _Steps:
    """Of several optimizers the first to step ends the step; has state to know it again."""

    def __init__(self) -> None:
        self._first: int | None = None

    def after(self, optimizer: Any, *_: Any) -> None:
        if self._first is None:
            self._first = id(optimizer)
        if id(optimizer) == self._first:
            guarded(NAME, lambda: step_ended(NAME))


def _extend(module: ModuleType) -> None:
    module.register_optimizer_step_post_hook(_Steps().after)


ADAPTERS = (Adapter(name=NAME, module="torch.optim.optimizer", extend=_extend),)
