"""Small models in double precision, and the comparison with the unpipelined one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch

from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.presets import preset
from dpprof.reference.model.unpipelined import StepResult, unpipelined_step

# Test processes share the cores: threads within an operator would only fight each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def exact_config() -> ModelConfig:
    """8 layers, double precision, no update: gradients can be compared to the last digits."""
    return replace(preset("tiny"), layers=8, dtype="float64", optimizer="none")


@pytest.fixture(scope="session")
def features(exact_config: ModelConfig) -> dict[str, ModelConfig]:
    """Configurations by name, each with something that the plain one has not."""
    first, second = (0, 1, 2, 3, 4, 5, 6, 7, 0, 3), (7, 7, 7, 1, 2, 3, 4, 5, 6, 0)
    return {
        "plain": exact_config,
        "balanced": replace(exact_config, routing="balanced"),
        "capacity": replace(exact_config, capacity_factor=0.75),
        "groups": replace(exact_config, expert_groups=4, top_groups=2, route_scale=2.5, top_k=3),
        "replicas": replace(exact_config, expert_placement=(first, second) * 4),
    }


@pytest.fixture(scope="session")
def reference() -> Callable[[ModelConfig, int, int], StepResult]:
    """`unpipelined_step`, each step computed once."""
    return cache(unpipelined_step)


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]], float]:
    """The largest relative error (in the norm of a parameter) over equally named gradients."""

    def compare(actual: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> float:
        assert actual.keys() == expected.keys()
        return max(
            ((actual[name] - value).norm() / value.norm()).item()
            for name, value in expected.items()
        )

    return compare
