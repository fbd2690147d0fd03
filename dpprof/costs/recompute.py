"""What costs become where activations are thrown away after the forward and made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import OVERLAPPED_PAIR

_Tables = dict[str, dict[str, int]]


def with_recompute(profile: CostProfile) -> CostProfile:
    """The costs with full recomputation, layer by layer, before each layer's backward.

    Every component of a backward takes its forward's time too, dispatch and combine as well, and
    of a layer's activations its input alone stays, which is as large as a pipeline message
    (Megatron-LM ``--recompute-granularity full --recompute-method uniform``; Korthikanti et al.,
    2022, section 5). What one layer needs while it is made again is not in the profile: see
    `recomputed_bytes`. Raises `DpprofError` where the costs do not say how large a message is.
    """
    if not profile.message.bytes:
        raise DpprofError(
            f"costs {profile.name} do not say what the input of a layer takes, so recomputation "
            "cannot be planned; add message.bytes"
        )
    model = [
        msgspec.structs.replace(
            layer,
            **_tables(profile, layer),
            memory=layer.memory and _inputs_only(layer.memory, profile),
        )
        for layer in profile.model
    ]
    return msgspec.structs.replace(
        profile,
        **_tables(profile, profile),
        memory=_inputs_only(profile.memory, profile),
        model=model,
    )


def recomputed_bytes(profile: CostProfile) -> int:
    """The most that the activations of one layer take while they are made again."""
    layers = [profile.memory, *(one.memory for one in profile.model)]
    return max(memory.activation_bytes for memory in layers if memory is not None)


def _inputs_only(memory: MemoryCost, profile: CostProfile) -> MemoryCost:
    kept = min(memory.activation_bytes, profile.message.bytes)
    return msgspec.structs.replace(memory, activation_bytes=kept)


def _tables(profile: CostProfile, costs: CostProfile | LayerCost) -> dict[str, Any]:
    usual = profile.component_ns
    paired = {
        part: usual.get(part, {}) | profile.pair_component_ns.get(part, {}) for part in ("F", "I")
    }
    return {
        "component_ns": _again(costs.component_ns, usual),
        "pair_component_ns": _again(costs.pair_component_ns, paired),
        "operation_ns": _operations_again(costs.operation_ns, profile.operation_ns),
    }


def _again(own: _Tables, usual: _Tables) -> _Tables:
    """I takes F's time too, for components of which either is the table's own."""
    forward, inputs = own.get("F", {}), own.get("I", {})
    longer = {
        name: inputs.get(name, usual.get("I", {}).get(name, 0))
        + forward.get(name, usual.get("F", {}).get(name, 0))
        for name in {*forward, *inputs}
    }
    return own | ({"I": longer} if longer else {})


def _operations_again(own: Mapping[str, int], usual: Mapping[str, int]) -> dict[str, int]:
    forward = own.get("F", usual.get("F", 0))
    longer = {name: own[name] + forward for name in ("I", "B", OVERLAPPED_PAIR) if name in own}
    if "F" in own and not longer:
        longer = {
            name: usual[name] + forward for name in ("I", "B", OVERLAPPED_PAIR) if name in usual
        }
    return dict(own) | longer
