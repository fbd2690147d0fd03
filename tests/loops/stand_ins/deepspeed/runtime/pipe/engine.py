"""Stand-in for DeepSpeed's PipelineEngine: its methods, and nothing of its code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import torch.distributed as dist
from follow import compute, follow


class ForwardPass:
    pass


class BackwardPass:
    pass


class PipelineEngine:
    def __init__(self, micro_batches: int) -> None:
        self.micro_batches = micro_batches
        self.stage_id, self.num_stages = dist.get_rank(), dist.get_world_size()
        self.grid = SimpleNamespace(get_data_parallel_rank=lambda: 0)

    def train_batch(self) -> None:
        follow("1f1b", self.micro_batches, self._act)

    def _act(self, slot) -> None:
        kind = ForwardPass if slot[0].operation.value == "F" else BackwardPass
        self._INSTRUCTION_MAP[kind](self, slot[0].micro_batch % 2)

    def _exec_forward_pass(self, buffer_id: int) -> None:
        compute("F")

    def _exec_backward_pass(self, buffer_id: int) -> None:
        compute("B")

    _INSTRUCTION_MAP: ClassVar = {
        ForwardPass: _exec_forward_pass,
        BackwardPass: _exec_backward_pass,
    }
