"""Synthetic training data that any rank can make by itself, and that a model can learn."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.parameters import seed_of
from dpprof.schedules.schedule import Schedule

LONGEST_STRIDE = 8
"""Sequences count up by 1 to this; the model has to find out which."""


class Batch(NamedTuple):
    """Tokens of one micro-batch and what follows each, both ``[micro_batch, sequence]``."""

    tokens: torch.Tensor
    targets: torch.Tensor


def make_batch(config: ModelConfig, step: int, micro_batch: int, data_rank: int) -> Batch:
    """Micro-batch `micro_batch` (global number) of a data rank, on the CPU."""
    text = f"{config.seed}/data/{step}/{micro_batch}/{data_rank}"
    generator = torch.Generator().manual_seed(seed_of(text))
    column = (config.micro_batch, 1)
    start = torch.randint(config.vocab, column, generator=generator)
    stride = torch.randint(1, LONGEST_STRIDE + 1, column, generator=generator)
    sequence = (start + stride * torch.arange(config.sequence + 1)) % config.vocab
    return Batch(sequence[:, :-1].contiguous(), sequence[:, 1:].contiguous())


def global_micro_batch(schedule: Schedule, direction: int, micro_batch: int) -> int:
    """Number of a direction's micro-batch in the step, the same data whatever the schedule."""
    stream = schedule.placement.streams[direction]
    return stream * schedule.micro_batches_per_stream + micro_batch
