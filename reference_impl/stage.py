"""One stage of the model on one rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from reference_impl.attention import rotary_table
from reference_impl.config import ModelConfig
from reference_impl.parameters import Parameters, make_parameters


@dataclass(frozen=True)
class StageModel:
    """A run of consecutive layers with the experts of one expert-parallel rank."""

    config: ModelConfig
    layers: range
    """Global layer numbers."""
    parameters: Parameters
    weights: tuple[Mapping[str, Tensor], ...]
    """Parameters by short name of each layer, counted from 0 within the stage."""
    rotary: Tensor
    ep_group: dist.ProcessGroup | None
    """The ranks that hold the other experts; None where this one holds them all."""

    @property
    def is_first(self) -> bool:
        """Whether this stage embeds the tokens."""
        return self.layers.start == 0

    @property
    def is_last(self) -> bool:
        """Whether this stage has the head and the loss."""
        return self.layers.stop == self.config.layers


def make_stage(
    config: ModelConfig,
    layers: range,
    experts: range,
    ep_group: dist.ProcessGroup | None,
    device: torch.device,
) -> StageModel:
    """A stage with its initial parameters; numbers of layers and experts are global."""
    parameters = make_parameters(config, layers, experts, device)
    weights = tuple(parameters.layer(layer) for layer in layers)
    return StageModel(config, layers, parameters, weights, rotary_table(config, device), ep_group)
