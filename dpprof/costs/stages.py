"""What the layers of each stage cost: a profile's model, cut into the stages of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost
from dpprof.errors import DpprofError

Chunk = tuple[LayerCost, ...]
"""The layers of a stage, each as it differs from the profile's."""

_PLAIN = LayerCost()


def is_uniform(profile: CostProfile) -> bool:
    """Whether all stages have the same layers at the same cost."""
    return not profile.model and not profile.stage_layers


def usual_layers(profile: CostProfile) -> CostProfile:
    """The profile with every layer as the usual one, and as many on every stage."""
    return msgspec.structs.replace(profile, model=[], stage_layers=[])


def model_layers(profile: CostProfile, stages: int) -> int:
    """Layers of the model: as many as the profile lists, else its own on each of `stages`."""
    listed = sum(layer.count for layer in profile.model) or sum(profile.stage_layers)
    return listed or profile.layers * stages


def stage_layers(profile: CostProfile, stages: int, layers: int | None = None) -> tuple[int, ...]:
    """How many layers each of `stages` stages has.

    `layers` of every stage may be given; else they are the profile's: its `stage_layers` where
    there are as many, equal parts of its model else. Raises `DpprofError` where a model with
    layers of its own has others in all, or does not divide.
    """
    if layers is not None and layers < 1:
        raise DpprofError(f"layers is {layers}; a chunk has at least 1 layer")
    if is_uniform(profile):
        return (layers or profile.layers,) * stages
    if len(profile.stage_layers) == stages and layers is None:
        return tuple(profile.stage_layers)
    whole = model_layers(profile, stages)
    share, rest = divmod(whole, stages)
    if rest or layers not in (None, share):
        raise DpprofError(
            f"costs {profile.name}: {stages} stages{'' if layers is None else f' of {layers}'} are "
            f"no cut of the model's {whole} layers; give stage_layers in the costs, one number for "
            "each stage"
        )
    return (share,) * stages


def stage_chunks(profile: CostProfile, stages: int, layers: int | None = None) -> tuple[Chunk, ...]:
    """The layers of every stage; errors are those of `stage_layers`."""
    counts = stage_layers(profile, stages, layers)
    model = [one for layer in profile.model for one in [layer] * layer.count]
    model = model or [_PLAIN] * sum(counts)
    ends = list(accumulate(counts))
    return tuple(tuple(model[end - count : end]) for end, count in zip(ends, counts, strict=True))


def chunk_memory(profile: CostProfile, chunk: Chunk) -> MemoryCost:
    """Bytes of a whole stage: of its parameters and so on, and of a chunk of its activations."""
    memories = [profile.memory if layer.memory is None else layer.memory for layer in chunk]
    return MemoryCost(
        **{
            field: sum(getattr(memory, field) for memory in memories)
            for field in MemoryCost.__struct_fields__
        }
    )


def stage_memory(
    profile: CostProfile, stages: int, layers: int | None = None
) -> tuple[MemoryCost, ...]:
    """`chunk_memory` of every stage."""
    return tuple(chunk_memory(profile, chunk) for chunk in stage_chunks(profile, stages, layers))


def knows_memory(profile: CostProfile) -> bool:
    """Whether the profile says what anything takes."""
    held: Sequence[MemoryCost | None] = (profile.memory, *(one.memory for one in profile.model))
    return any(memory not in (None, MemoryCost()) for memory in held)
