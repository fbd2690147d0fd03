"""Stand-in for DeepSeek's DualPipeV."""

from __future__ import annotations

from dualpipe import dualpipe


class DualPipeV(dualpipe.DualPipe):
    schedule = "dualpipev"

    def __init__(self) -> None:
        super().__init__()
        del self.is_in_second_half

    def step(self, *, num_chunks: int) -> None:
        super().step(num_chunks=num_chunks)

    def _forward_compute_chunk(self, phase: int) -> None:
        super()._forward_compute_chunk(phase)

    def _backward_compute_chunk(self, phase: int, enable_zb: bool = False) -> None:
        super()._backward_compute_chunk(phase, enable_zb)

    def _forward_backward_compute_chunk(self, phase0: int, phase1: int) -> None:
        super()._forward_backward_compute_chunk(phase0, phase1)

    def _weight_chunk(self) -> None:
        super()._weight_chunk()
