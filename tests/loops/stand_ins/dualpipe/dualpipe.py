"""Stand-in for DeepSeek's DualPipe: its class, methods and counters, and nothing of its code."""

from __future__ import annotations

import torch.distributed as dist
from follow import compute, follow


class DualPipe:
    schedule = "dualpipe"

    def __init__(self) -> None:
        self.rank, self.num_ranks = dist.get_rank(), dist.get_world_size()
        self.is_in_second_half = self.rank >= self.num_ranks // 2
        self.forward_only = False

    def step(self, *, num_chunks: int) -> None:
        self.current_f_chunk_id, self.current_b_chunk_id = [0, 0], [0, 0]
        follow(self.schedule, num_chunks, self._act)

    def _act(self, slot) -> None:
        if len(slot) == 2:
            phases = [self._phase(action.direction) for action in slot]
            self._forward_backward_compute_chunk(*phases)
        elif slot[0].operation.value == "F":
            self._forward_compute_chunk(self._phase(slot[0].direction))
        elif slot[0].operation.value == "W":
            self._weight_chunk()
        else:
            zero_bubble = slot[0].operation.value == "I"
            self._backward_compute_chunk(self._phase(slot[0].direction), zero_bubble)

    def _phase(self, direction: int) -> int:
        return direction ^ getattr(self, "is_in_second_half", False)

    def _commit_and_wait_comm(self) -> None:
        return None

    def _forward_compute_chunk(self, phase: int) -> None:
        self.current_f_chunk_id[self._phase(phase)] += 1
        compute("F")

    def _backward_compute_chunk(self, phase: int, enable_zb: bool = False) -> None:
        self.current_b_chunk_id[self._phase(phase)] += 1
        compute("I" if enable_zb else "B")

    def _forward_backward_compute_chunk(self, phase0: int, phase1: int) -> None:
        self._forward_compute_chunk(phase0)
        self._backward_compute_chunk(phase1)

    def _weight_chunk(self) -> None:
        self._commit_and_wait_comm()
        compute("W")
