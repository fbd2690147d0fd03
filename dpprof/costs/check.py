"""What a cost profile may hold: known keys, and values that a step can be simulated with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost, MessageCost
from dpprof.errors import DpprofError
from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation
from dpprof.schedules.components import Component

LONGEST_NS = 10**12
"""No component, operation or message takes longer than 1,000 seconds."""
MOST_BYTES = 2**50
MOST_LAYERS = 1000

_NO_WORK = ("message.", "slot_delay_ns", "rank_delay_ns")

PARTS = ("F", "I", "W")
COMPONENTS = tuple(component.value for component in Component)
OPERATIONS = (*(operation.value for operation in Operation), OVERLAPPED_PAIR)


def check_keys(data: object, where: str) -> None:
    """Raise `DpprofError` for the first unknown key of a profile's plain form, listing the known.

    Values of the wrong type are left to the typed conversion that follows.
    """
    _known(data, CostProfile.__struct_fields__, where, "")
    if not isinstance(data, Mapping):
        return
    _known(data.get("message"), MessageCost.__struct_fields__, where, "message.")
    _check_table_keys(data, where, "")
    model = data.get("model")
    for number, layer in enumerate(model if isinstance(model, list) else ()):
        _known(layer, LayerCost.__struct_fields__, where, f"model[{number}].")
        if isinstance(layer, Mapping):
            _check_table_keys(layer, where, f"model[{number}].")


def _check_table_keys(data: Mapping[str, object], where: str, prefix: str) -> None:
    _known(data.get("memory"), MemoryCost.__struct_fields__, where, f"{prefix}memory.")
    _known(data.get("operation_ns"), OPERATIONS, where, f"{prefix}operation_ns.")
    for field in ("component_ns", "pair_component_ns"):
        parts = data.get(field)
        _known(parts, PARTS, where, f"{prefix}{field}.")
        if isinstance(parts, Mapping):
            for part, components in parts.items():
                _known(components, COMPONENTS, where, f"{prefix}{field}.{part}.")


def _known(data: object, known: Iterable[str], where: str, prefix: str) -> None:
    if not isinstance(data, Mapping):
        return
    known = tuple(known)
    for key in data:
        if key not in known:
            raise DpprofError(
                f"{where}: unknown key '{prefix}{key}'; known here are {', '.join(known)}"
            )


def check_values(profile: CostProfile, where: str) -> None:
    """Raise `DpprofError` for a negative, absurd or missing value, naming the field."""
    _in_range(profile.layers, 1, MOST_LAYERS, where, "layers")
    for field, value in _times(profile):
        _in_range(value, 0, LONGEST_NS, where, field)
    _known(dict.fromkeys(profile.serial_components), COMPONENTS, where, "serial_components: ")
    for field, value in _byte_counts(profile):
        _in_range(value, 0, MOST_BYTES, where, field)
    _check_message(profile.message, where)
    _check_model(profile, where)
    if profile.tokens_per_micro_batch is not None:
        _in_range(profile.tokens_per_micro_batch, 1, MOST_BYTES, where, "tokens_per_micro_batch")
    work = [value for field, value in _times(profile) if not field.startswith(_NO_WORK)]
    if not any(work):
        raise DpprofError(
            f"{where}: nothing in it takes any time; give operation_ns (for example "
            '{"F": 10000000, "I": 10000000, "W": 10000000}) or component_ns'
        )


def _check_model(profile: CostProfile, where: str) -> None:
    for number, layer in enumerate(profile.model):
        _in_range(layer.count, 1, MOST_LAYERS, where, f"model[{number}].count")
        if layer.operation_ns and not profile.operation_ns:
            raise DpprofError(
                f"{where}: model[{number}].operation_ns is beside no operation_ns of the profile; "
                "give what differs in the profile's own form"
            )
    for stage, layers in enumerate(profile.stage_layers):
        _in_range(layers, 1, MOST_LAYERS, where, f"stage_layers[{stage}]")
    held, cut = sum(layer.count for layer in profile.model), sum(profile.stage_layers)
    if held and cut and held != cut:
        raise DpprofError(
            f"{where}: stage_layers add up to {cut} layers, but model has {held}; make them equal"
        )


def _check_message(message: MessageCost, where: str) -> None:
    rate = message.bytes_per_second
    if rate is None:
        return
    if not (math.isfinite(rate) and rate > 0):
        raise DpprofError(
            f"{where}: message.bytes_per_second is {rate}; give a number above 0, or leave it out "
            "for an infinitely fast edge"
        )
    if message.bytes / rate * 1e9 > LONGEST_NS:
        raise DpprofError(
            f"{where}: at message.bytes_per_second {rate} one message takes over "
            f"{LONGEST_NS // 10**9} seconds; raise it or lower message.bytes"
        )


def _times(profile: CostProfile) -> list[tuple[str, int]]:
    times = _table_times(profile, "")
    for number, layer in enumerate(profile.model):
        times += _table_times(layer, f"model[{number}].")
    delays = (
        ("message.latency_ns", profile.message.latency_ns),
        ("slot_delay_ns", profile.slot_delay_ns),
        *((f"rank_delay_ns[{rank}]", delay) for rank, delay in enumerate(profile.rank_delay_ns)),
    )
    return [*times, *delays]


def _table_times(costs: CostProfile | LayerCost, prefix: str) -> list[tuple[str, int]]:
    times = [(f"{prefix}operation_ns.{key}", value) for key, value in costs.operation_ns.items()]
    for field in ("component_ns", "pair_component_ns"):
        for part, components in getattr(costs, field).items():
            times += [(f"{prefix}{field}.{part}.{key}", value) for key, value in components.items()]
    return times


def _byte_counts(profile: CostProfile) -> list[tuple[str, int]]:
    counts = [("message.bytes", profile.message.bytes)]
    memories = [("", profile.memory)]
    memories += [(f"model[{n}].", one.memory) for n, one in enumerate(profile.model) if one.memory]
    for prefix, memory in memories:
        counts += [(f"{prefix}memory.{key}", getattr(memory, key)) for key in _MEMORY_FIELDS]
    return counts


_MEMORY_FIELDS = MemoryCost.__struct_fields__


def _in_range(value: int, lowest: int, highest: int, where: str, field: str) -> None:
    if not lowest <= value <= highest:
        raise DpprofError(f"{where}: {field} is {value}; give a number from {lowest} to {highest}")
