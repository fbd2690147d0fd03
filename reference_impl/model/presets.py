"""Sizes of models by name, and single ones of them changed by text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from dpprof.errors import DpprofError
from dpprof.reference.model.config import ModelConfig

# 16 layers in the general presets: they divide by the stages of each schedule up to PP=8 (two
# chunks a rank) and PP=16 (one), so that runs of different schedules train the same model.
PRESETS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        # For tests: a component takes about a millisecond on one core.
        "tiny": ModelConfig(
            layers=16,
            hidden=32,
            heads=2,
            head_size=8,
            rope_size=4,
            query_rank=24,
            key_value_rank=16,
            experts=8,
            top_k=2,
            expert_size=16,
            shared_size=16,
            vocab=64,
            sequence=16,
            micro_batch=1,
        ),
        # For a laptop: a component takes five to ten milliseconds on one core.
        "small": ModelConfig(
            layers=16,
            hidden=256,
            heads=4,
            head_size=64,
            rope_size=32,
            query_rank=192,
            key_value_rank=128,
            experts=8,
            top_k=2,
            expert_size=256,
            shared_size=256,
            vocab=1024,
            sequence=128,
            micro_batch=2,
        ),
        # For a GPU: DeepSeek-V3's proportions at about a quarter of its width.
        "medium": ModelConfig(
            layers=16,
            hidden=2048,
            heads=16,
            head_size=128,
            rope_size=64,
            query_rank=768,
            key_value_rank=512,
            experts=32,
            top_k=4,
            expert_size=1024,
            shared_size=1024,
            vocab=32768,
            sequence=2048,
            micro_batch=1,
            dtype="bfloat16",
            learning_rate=3e-4,
        ),
        # DeepSeek-V3's MoE layer as its published profile runs it (technical report, section
        # 4.2): one rank's share of 64 expert-parallel ranks, 4 of 256 experts, experts dealt out;
        # with --pp 1 every chunk of an overlapped pair has four layers. With real expert
        # parallelism: --set looped_ep=1 --ep 64. The profile has no embedding and no head, and a
        # stage in the middle of the model has neither: the vocabulary is small.
        "deepseek-v3-layer": ModelConfig(
            layers=8,
            hidden=7168,
            heads=128,
            head_size=128,
            rope_size=64,
            query_rank=1536,
            key_value_rank=512,
            experts=256,
            top_k=8,
            expert_size=2048,
            shared_size=2048,
            vocab=8192,
            sequence=4096,
            micro_batch=1,
            dtype="bfloat16",
            learning_rate=2.2e-4,
            routing="balanced",
            expert_groups=8,
            top_groups=4,
            route_scale=2.5,
            bias_speed=0.001,
            looped_ep=64,
        ),
    }
)


def with_sizes(config: ModelConfig, changes: Sequence[str]) -> ModelConfig:
    """`config` with the sizes of texts ``size=value``; raises `DpprofError` for bad ones."""
    types = {field.name: field.type for field in fields(config)}
    values: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        kind = types.get(name)
        if not equals or kind not in _READERS:
            known = sorted(name for name, kind in types.items() if kind in _READERS)
            raise DpprofError(f"--set {change}: give SIZE=VALUE, a size of {', '.join(known)}")
        try:
            values[name] = _READERS[str(kind)](text)
        except ValueError as error:
            raise DpprofError(f"--set {change}: {name} takes {_WORDS[str(kind)]}") from error
    return replace(config, **values)


_READERS: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}
_WORDS: Mapping[str, str] = {"int": "a whole number", "float": "a number"}


def preset(name: str) -> ModelConfig:
    """The preset of that name; raises `DpprofError` that lists the presets."""
    if name not in PRESETS:
        raise DpprofError(f"no model preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
