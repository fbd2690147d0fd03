"""One stage of the model on one rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dpprof.reference.model.attention import rotary_table
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.expert_copies import ExpertCopies, make_copies
from dpprof.reference.model.layer import Layer
from dpprof.reference.model.memory_notes import allocating
from dpprof.reference.model.parameters import Parameters, gradient_dtype, make_parameters


@dataclass(frozen=True)
class StageModel:
    """A run of consecutive layers with the experts of one expert-parallel rank."""

    config: ModelConfig
    numbers: range
    """Global numbers of the layers."""
    own_slots: range
    """Slots of the experts held here."""
    parameters: Parameters
    layers: tuple[Layer, ...]
    """The layers, counted from 0 within the stage."""
    bias: Tensor
    load: Tensor
    """What the layers' routers remember, ``[layers, experts]``; the layers have views of it."""

    @property
    def is_first(self) -> bool:
        """Whether this stage embeds the tokens."""
        return self.numbers.start == 0

    @property
    def is_last(self) -> bool:
        """Whether this stage has the head and the loss."""
        return self.numbers.stop == self.config.layers


def make_stage(
    config: ModelConfig, numbers: range, slots: range, device: torch.device
) -> StageModel:
    """A stage with its initial parameters; numbers of layers and of experts' slots are global."""
    with allocating("parameter"):
        parameters = make_parameters(config, numbers, slots, device)
    shape = (len(numbers), config.experts)
    bias = torch.zeros(shape, dtype=gradient_dtype(getattr(torch, config.dtype)), device=device)
    load = torch.zeros(shape, dtype=torch.int64, device=device)
    rotary = rotary_table(config, device)
    layers = tuple(
        Layer(
            config,
            parameters.layer(number),
            rotary,
            bias[i],
            load[i],
            _copies(config, number, device),
        )
        for i, number in enumerate(numbers)
    )
    return StageModel(config, numbers, slots, parameters, layers, bias, load)


def _copies(config: ModelConfig, number: int, device: torch.device) -> ExpertCopies | None:
    if not config.expert_placement:
        return None
    return make_copies(config.expert_placement[number], config.experts, device)
