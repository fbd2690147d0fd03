"""Multi-head latent attention with rotary positions (DeepSeek-V2, section 2.1), causal."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from dpprof.reference.model.attention_kernels import causal_attention
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.operators import Operators

ROTARY_BASE = 10_000.0
"""Wavelengths of the rotations run from 2 pi to 2 pi times this."""

NORM_EPSILON = 1e-6


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """Scale each token to unit root mean square, then by the weight (of any precision)."""
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), NORM_EPSILON)


def rotary_table(config: ModelConfig, device: torch.device) -> Tensor:
    """Cosines and sines, ``[2, sequence, rope_size / 2]``, in the model's type."""
    pairs = config.rope_size // 2
    frequencies = ROTARY_BASE ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = torch.arange(config.sequence, dtype=torch.float64).outer(frequencies)
    table = torch.stack((angles.cos(), angles.sin()))
    return table.to(device=device, dtype=getattr(torch, config.dtype))


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the channel pairs (i, i + half) of ``x [..., sequence, rope_size]`` by position."""
    cosine, sine = table
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def attention(
    x: Tensor, weights: Mapping[str, Tensor], table: Tensor, operators: Operators, head_size: int
) -> Tensor:
    """``[batch, sequence, hidden]`` in and out.

    Queries come from a narrow latent; keys and values of all heads from another one, which is all
    that inference would cache. Positions enter through `rope_size` extra channels, which for keys
    are shared by the heads.
    """
    linear = operators.linear
    rope_size = 2 * table.shape[-1]

    query = rms_norm(linear(x, weights["query_down"]), weights["query_norm"])
    query = _heads(linear(query, weights["query_up"]), head_size + rope_size)
    query, query_rope = query.split((head_size, rope_size), dim=-1)

    latent = linear(x, weights["key_value_down"])
    latent, key_rope = latent.split((latent.shape[-1] - rope_size, rope_size), dim=-1)
    latent = rms_norm(latent, weights["key_value_norm"])
    key_value = _heads(linear(latent, weights["key_value_up"]), 2 * head_size)
    key, value = key_value.chunk(2, dim=-1)
    turned = operators.fused(rotate)
    key_rope = turned(_heads(key_rope, rope_size), table).expand(*key.shape[:-1], rope_size)

    mixed = causal_attention(
        torch.cat((query, turned(query_rope, table)), dim=-1),
        torch.cat((key, key_rope), dim=-1),
        value,
    )
    return linear(mixed.transpose(1, 2).flatten(2), weights["attention_out"])


def _heads(x: Tensor, size: int) -> Tensor:
    """``[batch, sequence, heads * size] -> [batch, heads, sequence, size]``."""
    return x.unflatten(-1, (-1, size)).transpose(1, 2)
