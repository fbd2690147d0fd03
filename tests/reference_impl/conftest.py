"""Small models in double precision, and the comparison with the unpipelined one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch

from reference_impl.config import ModelConfig
from reference_impl.presets import preset
from reference_impl.unpipelined import StepResult, unpipelined_step

# Test processes share the cores: threads within an operator would only fight each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def exact_config() -> ModelConfig:
    """8 layers, double precision, no update: gradients can be compared to the last digits."""
    return replace(preset("tiny"), layers=8, dtype="float64", optimizer="none")


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
