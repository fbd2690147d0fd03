"""Jobs over stand-ins: the frameworks' own names and order, with work of known length inside."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).with_name("stand_ins")))
MICRO_BATCHES, STEPS = 4, 5


def dualpipe() -> None:
    from dualpipe.dualpipe import DualPipe

    pipe = DualPipe()
    for _ in range(STEPS):
        pipe.step(num_chunks=2 * MICRO_BATCHES)


def dualpipev() -> None:
    from dualpipe.dualpipev import DualPipeV

    pipe = DualPipeV()
    for _ in range(STEPS):
        pipe.step(num_chunks=2 * MICRO_BATCHES)


def megatron(name: str, **more: object) -> None:
    from megatron.core.pipeline_parallel import schedules

    step = getattr(schedules, f"forward_backward_pipelining_{name}")
    for _ in range(STEPS):
        step(num_microbatches=MICRO_BATCHES, forward_only=False, **more)


def chunks(*, expert_overlap: bool) -> list[SimpleNamespace]:
    """A model in two chunks, for an interleaved pipeline."""
    config = SimpleNamespace(overlap_moe_expert_parallel_comm=expert_overlap)
    return [SimpleNamespace(config=config)] * 2


def deepspeed() -> None:
    from deepspeed.runtime.pipe.engine import PipelineEngine

    engine = PipelineEngine(MICRO_BATCHES)
    for _ in range(STEPS):
        engine.train_batch()


JOBS = {
    "dualpipe": dualpipe,
    "dualpipev": dualpipev,
    "megatron-1f1b": partial(megatron, "without_interleaving"),
    "megatron-interleaved": partial(
        megatron, "with_interleaving", model=chunks(expert_overlap=False)
    ),
    "megatron-combined": partial(megatron, "with_interleaving", model=chunks(expert_overlap=True)),
    "deepspeed": deepspeed,
}
