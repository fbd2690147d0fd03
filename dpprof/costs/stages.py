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


def cut_text(cut: Sequence[int]) -> str:
    """Layers of every stage in words, as in ``2``, or ``2,3,3,2`` where stages differ."""
    return str(cut[0]) if len(set(cut)) == 1 else ",".join(map(str, cut))


def read_cut(text: str, where: str) -> tuple[int, ...]:
    """Layers as `cut_text` has them; raises `DpprofError` naming `where`."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and 0 < int(word[:9]) <= 1000 for word in words):
        raise DpprofError(
            f"{where} {text[:40]}: give layers of a stage from 1 to 1000, one number or one for "
            "each stage, as in 2,3,3,2"
        )
    return tuple(int(word) for word in words)


def with_cut(profile: CostProfile, cut: Sequence[int], stages: int) -> CostProfile:
    """The profile with so many layers on each of `stages` stages.

    Raises `DpprofError` where there are other stages, or the profile lists other layers.
    """
    if len(cut) != stages:
        raise DpprofError(
            f"layers {cut_text(cut)}: {len(cut)} numbers for {stages} stages; give one for each, "
            "or one for all"
        )
    listed = sum(layer.count for layer in profile.model)
    if listed and listed != sum(cut):
        raise DpprofError(
            f"costs {profile.name}: {cut_text(cut)} are {sum(cut)} layers, and they list {listed}; "
            "give stages that have as many together"
        )
    return msgspec.structs.replace(profile, stage_layers=list(cut))


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


def delay_notes(profile: CostProfile, pp: int) -> tuple[str, ...]:
    """What is to be said where ranks of the costs are late in slots and a schedule has others."""
    delays = profile.rank_delay_ns
    if not delays or len(delays) == pp:
        return ()
    late = max(range(len(delays)), key=delays.__getitem__)
    return (
        f"slots of pipeline rank {late} of {profile.name} begin {delays[late] / 1e6:.2f} ms late; "
        f"on PP {pp} all are taken to begin {profile.slot_delay_ns / 1e6:.2f} ms late",
    )


def knows_memory(profile: CostProfile) -> bool:
    """Whether the profile says what anything takes."""
    held: Sequence[MemoryCost | None] = (profile.memory, *(one.memory for one in profile.model))
    return any(memory not in (None, MemoryCost()) for memory in held)
