"""The update at the end of a step."""

from __future__ import annotations

from typing import NamedTuple

import torch

from dpprof.instrument.labels import label
from reference_impl.config import ModelConfig


class Optimizer(NamedTuple):
    """An optimizer, or none, and how many values it keeps per parameter."""

    optimizer: torch.optim.Optimizer | None
    state_per_parameter: int

    def step(self) -> None:
        """Update the parameters; leaves the gradients as they are."""
        if self.optimizer is not None:
            with label("compute", component="optimizer"):
                self.optimizer.step()


def make_optimizer(config: ModelConfig, parameters: list[torch.Tensor]) -> Optimizer:
    """The configuration's optimizer; ``none`` leaves the model as it is, to compare gradients.

    Its state is there from the start, not from the first update on: memory is then the same in
    every step.
    """
    match config.optimizer:
        case "adamw":
            adamw = torch.optim.AdamW(parameters, lr=config.learning_rate)
            for value in parameters:
                adamw.state[value] = {
                    "step": torch.tensor(0.0),
                    "exp_avg": torch.zeros_like(value),
                    "exp_avg_sq": torch.zeros_like(value),
                }
            return Optimizer(adamw, 2)
        case "sgd":
            return Optimizer(torch.optim.SGD(parameters, lr=config.learning_rate), 0)
        case _:
            return Optimizer(None, 0)
