"""What the layers of each stage cost in a run, where its stages are not alike."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import msgspec
import pandas as pd

from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost
from dpprof.costs.stages import Chunk
from dpprof.runs.run import Run
from dpprof.schedules.actions import OVERLAPPED_PAIR
from dpprof.schedules.components import Component
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.timing import OPERATIONS, slot_template
from dpprof.tables.columns import (
    COMPONENT,
    DIRECTION,
    END,
    LAYER,
    OPERATION,
    PART,
    RANK,
    SLOT,
    STAGE,
    START,
    STEP,
)

_ComponentNs = dict[str, dict[str, int]]

_ALIKE = 0.02
"""Stages whose slots differ by no more than this share of the usual are taken as alike."""
_ERRORS = 3
"""Standard errors of its medians by which a stage must differ, too, not to be taken as alike."""
_STATIC = ("parameter_bytes", "gradient_bytes", "optimizer_bytes")


def with_stages(profile: CostProfile, run: Run, lengths: pd.DataFrame) -> CostProfile:
    """The profile with the layers of the model listed, where stages differ.

    `lengths` has a row per occurrence of a component. Stages are alike where every operation of
    each takes what it does by the profile, to two per cent or to what its times vary by, and holds
    as much. Without a known
    schedule, or with a stage that the run does not show, all are taken as alike. A stage that is
    the whole model, output layer and all, is listed: parts of it are not like it.
    """
    if run.schedule is None:
        return profile
    stages = run.schedule.placement.stage_count
    by_stage = _stage_lengths(run, run.schedule, lengths)
    operations = _operation_medians(run, run.schedule, set(profile.operation_ns))
    memory = _stage_memory(run, run.schedule)
    chunks = [
        measured_chunk(profile, by_stage[by_stage[STAGE] == stage], operations.get(stage, {}))
        for stage in range(stages)
    ]
    if not all(chunks):
        return profile
    chunks = [_holding(chunk, memory.get(stage)) for stage, chunk in enumerate(chunks)]
    whole = stages == 1 and Component.OUTPUT.value in set(lengths[COMPONENT])
    errors = [_errors_ns(by_stage[by_stage[STAGE] == stage]) for stage in range(stages)]
    usual = [_is_usual(profile, *stage) for stage in zip(chunks, errors, strict=True)]
    if not whole and all(usual):
        return profile
    model = [_only_unusual(profile, layer) for chunk in chunks for layer in chunk]
    return msgspec.structs.replace(
        profile,
        model=[
            msgspec.structs.replace(layer, count=sum(1 for _ in alike))
            for layer, alike in groupby(model)
        ],
        stage_layers=[len(chunk) for chunk in chunks],
    )


def component_medians(lengths: pd.DataFrame) -> _ComponentNs:
    """part -> component -> its median length."""
    costs: _ComponentNs = {}
    for (part, component), values in lengths.groupby([PART, COMPONENT])["length"]:
        costs.setdefault(str(part), {})[str(component)] = round(values.median())
    return costs


def overlaid(base: _ComponentNs, top: _ComponentNs) -> _ComponentNs:
    """Everything in either; `top` wins."""
    parts = sorted({*base, *top})
    return {part: {**base.get(part, {}), **top.get(part, {})} for part in parts}


def in_both(chosen: _ComponentNs, other: _ComponentNs) -> _ComponentNs:
    """What is in both, with the figures of `chosen`."""
    common = {
        part: {key: value for key, value in costs.items() if key in other.get(part, {})}
        for part, costs in chosen.items()
    }
    return {part: costs for part, costs in common.items() if costs}


def _stage_lengths(run: Run, schedule: Schedule, lengths: pd.DataFrame) -> pd.DataFrame:
    stages = schedule.placement.stages
    places = zip(lengths[RANK].map(run.pp_rank), lengths[DIRECTION], strict=True)
    stage = [
        stages[int(rank)][way] if rank == rank and 0 <= way < len(stages[int(rank)]) else -1
        for rank, way in places
    ]
    values: dict[str, Any] = {STAGE: stage, LAYER: lengths[LAYER].clip(lower=0)}
    return lengths.assign(**values)


def measured_chunk(
    profile: CostProfile, lengths: pd.DataFrame, operation_ns: dict[str, int]
) -> Chunk:
    """The layers of a stage as they were measured; empty where nothing was."""
    count = 1 + int(lengths[LAYER].max()) if len(lengths) else int(bool(operation_ns))
    return tuple(
        _layer(profile, lengths[lengths[LAYER] == layer], count, operation_ns)
        for layer in range(count)
    )


def _layer(
    profile: CostProfile,
    lengths: pd.DataFrame,
    layers: int,
    operation_ns: dict[str, int],
) -> LayerCost:
    paired = (lengths[OPERATION] == OVERLAPPED_PAIR).to_numpy(bool)
    outside, inside = component_medians(lengths[~paired]), component_medians(lengths[paired])
    costs = overlaid(inside, outside)
    return LayerCost(
        component_ns=_with_missing(costs, profile.component_ns),
        pair_component_ns=inside,
        operation_ns={operation: round(ns / layers) for operation, ns in operation_ns.items()},
    )


def _with_missing(costs: _ComponentNs, usual: _ComponentNs) -> _ComponentNs:
    """Components that other layers have and this one does not, of a part that it shows: 0.

    So a layer that ends a stage of another schedule does not get the output layer with it.
    """
    return {part: dict.fromkeys(usual.get(part, {}), 0) | own for part, own in costs.items()}


def _operation_medians(run: Run, schedule: Schedule, wanted: set[str]) -> dict[int, dict[str, int]]:
    """stage -> operation -> median length of the slots that it is in."""
    slots = run.slots[run.slots[STEP].isin(run.used_steps) & run.slots[RANK].isin([*run.pp_rank])]
    slots = slots[slots[OPERATION].astype(str).isin(wanted)]
    if slots.empty:
        return {}
    ways = slots[SLOT].astype(str).str.findall(r"[FBIW](\d+)\.")
    rows = pd.DataFrame(
        {
            "pp_rank": slots[RANK].map(run.pp_rank),
            OPERATION: slots[OPERATION].astype(str),
            "length": slots[END] - slots[START],
            DIRECTION: ways,
        }
    ).explode(DIRECTION)
    stages = schedule.placement.stages
    rows[STAGE] = [
        stages[int(rank)][int(way)]
        for rank, way in zip(rows["pp_rank"], rows[DIRECTION], strict=True)
    ]
    table: dict[int, dict[str, int]] = {}
    medians = rows.groupby([STAGE, OPERATION], as_index=False)["length"].median()
    for stage, operation, length in medians.itertuples(index=False):
        table.setdefault(int(stage), {})[str(operation)] = round(length)
    return table


def _stage_memory(run: Run, schedule: Schedule) -> dict[int, MemoryCost]:
    """Of whole stages; a rank's parameters are shared equally among its stages."""
    rows = []
    for place in run.places:
        stages = schedule.placement.stages[place.pp_rank]
        chunks = place.chunk_bytes
        if not chunks and place.activation_bytes is not None:
            chunks = [place.activation_bytes] * len(stages)
        known = {field: getattr(place, field) for field in _STATIC}
        if None in known.values() or len(chunks) != len(stages):
            continue
        share = {field: value / len(set(stages)) for field, value in known.items()}
        rows += [
            {STAGE: stage, **share, "activation_bytes": chunk}
            for stage, chunk in zip(stages, chunks, strict=True)
        ]
    if not rows:
        return {}
    means = pd.DataFrame(rows).groupby(STAGE, as_index=False).mean().round().astype("int64")
    return {
        row[STAGE]: MemoryCost(**{field: row[field] for field in MemoryCost.__struct_fields__})
        for row in means.to_dict("records")
    }


def _holding(chunk: Chunk, memory: MemoryCost | None) -> Chunk:
    if memory is None:
        return chunk
    fields = MemoryCost.__struct_fields__
    own = MemoryCost(**{field: round(getattr(memory, field) / len(chunk)) for field in fields})
    return tuple(msgspec.structs.replace(layer, memory=own) for layer in chunk)


def _errors_ns(lengths: pd.DataFrame) -> dict[str, float]:
    """operation -> the standard errors of the medians of a stage's components, added up."""
    paired = (lengths[OPERATION] == OVERLAPPED_PAIR).to_numpy(bool)
    alone, inside = _errors_by_part(lengths[~paired]), _errors_by_part(lengths[paired])
    backward = alone.get("I", 0.0) + alone.get("W", 0.0)
    return {**alone, "B": backward, OVERLAPPED_PAIR: sum(inside.values())}


def _errors_by_part(lengths: pd.DataFrame) -> dict[str, float]:
    groups = lengths.groupby([PART, COMPONENT, LAYER])["length"]
    spread = groups.quantile(0.75) - groups.quantile(0.25)
    errors = (spread / groups.size() ** 0.5).groupby(level=PART).sum()
    return {str(part): float(ns) for part, ns in errors.items()}


def _is_usual(profile: CostProfile, chunk: Chunk, errors_ns: Mapping[str, float]) -> bool:
    """Whether a stage takes and holds what the profile says of any."""
    if len(chunk) != profile.layers:
        return False
    usual = (LayerCost(),) * profile.layers
    for operation in OPERATIONS:
        own, other = (slot_template(profile, operation, one) for one in (chunk, usual))
        if not own or not other:
            continue
        within = max(_ALIKE * other.length_ns, _ERRORS * errors_ns.get(operation, 0.0))
        if abs(own.length_ns - other.length_ns) > within:
            return False
    return all(
        layer.memory is None
        or all(
            abs(getattr(layer.memory, field) - getattr(profile.memory, field))
            <= _ALIKE * getattr(profile.memory, field)
            for field in MemoryCost.__struct_fields__
        )
        for layer in chunk
    )


def _only_unusual(profile: CostProfile, layer: LayerCost) -> LayerCost:
    """Without the figures that are the profile's own."""

    profile_ns, pairs_ns = profile.component_ns, profile.pair_component_ns
    kept: _ComponentNs = {}
    kept_pairs: _ComponentNs = {}
    for part, costs in layer.component_ns.items():
        for key, ns in costs.items():
            usual = profile_ns.get(part, {}).get(key)
            pair = layer.pair_component_ns.get(part, {}).get(key)
            if ns == usual and pair in (None, pairs_ns.get(part, {}).get(key, usual)):
                continue
            kept.setdefault(part, {})[key] = ns
            if pair is not None:
                kept_pairs.setdefault(part, {})[key] = pair
    return msgspec.structs.replace(
        layer,
        component_ns=kept,
        pair_component_ns=kept_pairs,
        memory=None if layer.memory == profile.memory else layer.memory,
    )
