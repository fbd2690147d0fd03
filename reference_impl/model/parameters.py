"""Parameters of a run of layers: the same initial values however the model is cut up."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.memory_notes import allocating
from dpprof.reference.model.operators import gradient_of

INITIAL_SPREAD = 0.5
"""Weights start as normal values of deviation ``INITIAL_SPREAD / sqrt(inputs)``."""

MOST_ON_CPU = 2**22
"""Values of a matrix that are drawn on the CPU; a larger one's depend on the kind of device."""


@dataclass(frozen=True)
class Parameters:
    """Named parameters of consecutive layers, and their gradients as views of two flat buffers.

    `expert_gradients` belongs to the experts held here; `replicated_gradients` to everything
    else, which each expert-parallel rank holds a copy of. Flat, so that a reduction is one message.
    Gradients of bfloat16 matrices add up in float32, as their ``main_grad``; what is a vector
    (the norms' scales) is float32 itself.
    """

    named: Mapping[str, torch.Tensor]
    replicated_gradients: torch.Tensor
    expert_gradients: torch.Tensor

    def layer(self, layer: int) -> dict[str, torch.Tensor]:
        """Parameters of one layer (global number) under their short names."""
        prefix = f"layers.{layer}."
        return {
            name.removeprefix(prefix): value
            for name, value in self.named.items()
            if name.startswith(prefix)
        }

    def clear_gradients(self) -> None:
        """Set every gradient to zero."""
        self.replicated_gradients.zero_()
        self.expert_gradients.zero_()

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters."""
        return sum(value.nbytes for value in self.named.values())

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradients."""
        return int(self.replicated_gradients.nbytes) + int(self.expert_gradients.nbytes)

    @property
    def gradients(self) -> dict[str, torch.Tensor]:
        """Gradients by the parameters' names."""
        return {name: gradient_of(value) for name, value in self.named.items()}


def is_expert(name: str) -> bool:
    """Whether a parameter is spread over the expert-parallel ranks."""
    return ".expert_" in name


def make_parameters(
    config: ModelConfig, layers: range, experts: range, device: torch.device
) -> Parameters:
    """Initial parameters of these layers (global numbers) with these experts' slots (likewise).

    The first layer brings the embedding along, the last one the final norm and the head. Every
    value depends only on the seed and its global place, so all cuts start from the same model.
    """
    named = {
        name: _initial(config, name, shape, experts, device).to(device).requires_grad_()
        for name, shape in _shapes(config, layers).items()
    }
    with allocating("gradient"):
        replicated = _flat_gradients(
            [value for name, value in named.items() if not is_expert(name)]
        )
        own = _flat_gradients([value for name, value in named.items() if is_expert(name)])
    return Parameters(named, replicated, own)


def _shapes(config: ModelConfig, layers: range) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if layers.start == 0:
        shapes["embedding"] = (config.vocab, config.hidden)
    for layer in layers:
        shapes |= {f"layers.{layer}.{name}": shape for name, shape in config.shapes().items()}
    if layers.stop == config.layers:
        shapes |= {"final_norm": (config.hidden,), "head": (config.vocab, config.hidden)}
    return shapes


def _initial(
    config: ModelConfig, name: str, shape: tuple[int, ...], experts: range, device: torch.device
) -> torch.Tensor:
    dtype = getattr(torch, config.dtype)
    if len(shape) == 1:
        return torch.ones(shape, dtype=gradient_dtype(dtype))
    if not is_expert(name):
        return _normal(f"{config.seed}/{name}", shape, device).to(dtype)
    layer = int(name.split(".")[1])
    seeds = (f"{config.seed}/{name}/{config.expert_in(layer, slot)}" for slot in experts)
    return torch.stack([_normal(seed, shape[1:], device).to(dtype) for seed in seeds])


def gradient_dtype(dtype: torch.dtype) -> torch.dtype:
    """What gradients of this type of parameter add up in: at least single precision."""
    return torch.promote_types(dtype, torch.float32)


def _normal(seed_text: str, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Drawn on the CPU, the same for every device, unless that would take long."""
    where = device if math.prod(shape) > MOST_ON_CPU else torch.device("cpu")
    generator = torch.Generator(where).manual_seed(seed_of(seed_text))
    values = torch.randn(shape, generator=generator, dtype=torch.float32, device=where)
    return values * (INITIAL_SPREAD / shape[-1] ** 0.5)


def seed_of(text: str) -> int:
    """A seed that depends on nothing but the text (Python's own hash differs by process)."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # torch takes 63 bits


def _flat_gradients(values: list[torch.Tensor]) -> torch.Tensor:
    """One zeroed buffer as long as all values, with each value's gradient a view of it."""
    dtype = gradient_dtype(values[0].dtype)
    flat = torch.zeros(sum(value.numel() for value in values), dtype=dtype, device=values[0].device)
    start = 0
    for value in values:
        gradient = flat[start : start + value.numel()].view_as(value)
        if value.dtype == dtype:
            value.grad = gradient
        else:
            value.main_grad = gradient
        start += value.numel()
    return flat
