"""The memory peak of every rank: when, in which slot, and what it is made of (metrics.md, 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from dpprof.analysis.events.slot_names import read_slot
from dpprof.analysis.figures import MemoryFigures, StageFigures, TotalMemory
from dpprof.analysis.memory.peak_parts import BUFFERS, parts_at_peak
from dpprof.runs.host_slots import host_slots
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.schedules.actions import Operation
from dpprof.schedules.in_flight import most_bytes_held, peak_in_flight
from dpprof.tables.columns import (
    ALLOCATED,
    AT,
    END,
    MEMORY,
    RANK,
    RESERVED,
    SLOT,
    START,
    STEP,
)
from dpprof.tables.devices import rank_name


def memory_figures(run: Run) -> dict[int, MemoryFigures]:
    """Rank -> its peak over the used steps, the peak's parts, and what the schedule predicts."""
    peaks = () if run.schedule is None else peak_in_flight(run.schedule)
    predicted = {pp_rank: peak.total for pp_rank, peak in enumerate(peaks)}
    return {
        place.rank: _rank_figures(run, place, predicted.get(place.pp_rank)) for place in run.places
    }


def _rank_figures(run: Run, place: RankPlace, predicted: int | None) -> MemoryFigures:
    curve = run.memory[(run.memory[RANK] == place.rank) & run.memory[STEP].isin(run.used_steps)]
    known: dict[str, Any] = {
        "torch_peak_bytes": place.max_allocated_bytes,
        "predicted_in_flight": predicted,
        "predicted_bytes": _predicted_bytes(run, place, predicted),
    }
    if curve.empty:
        return MemoryFigures(
            **known,
            peak_allocated_bytes=place.max_allocated_bytes,
            parameter_bytes=place.parameter_bytes,
            gradient_bytes=place.gradient_bytes,
            optimizer_bytes=place.optimizer_bytes,
            reasons=[
                "memory: the trace has no memory events of the device; profile with "
                "profile_memory=True, or give a memory snapshot"
            ],
        )
    top = {name: int(curve[name].iloc[_peak(curve)]) for name in MEMORY}
    allocated, at = top[ALLOCATED], top[AT]
    slots = host_slots(run, place.rank)
    slots = slots[slots[STEP] == top[STEP]]
    parts = parts_at_peak(allocated, top, place)
    return MemoryFigures(
        **known,
        peak_allocated_bytes=allocated,
        peak_reserved_bytes=_reserved(curve),
        at_ns=at,
        step=top[STEP],
        slot=_slot_at(slots, at),
        in_flight=_in_flight(slots, at),
        parameter_bytes=parts.parameters,
        gradient_bytes=parts.gradients,
        optimizer_bytes=parts.optimizer,
        activation_bytes=parts.activations,
        communication_bytes=parts.communication,
        rest_bytes=parts.rest,
        # A model has no communication buffers to tell apart.
        reasons=[
            one for one in parts.reasons if run.source == "captured" or not one.startswith(BUFFERS)
        ],
    )


def _peak(curve: pd.DataFrame) -> int:
    return int(curve[ALLOCATED].to_numpy().argmax())


def memory_warnings(run: Run, peaks: dict[int, MemoryFigures]) -> list[str]:
    """Ranks whose curve does not reach the peak that torch itself has counted."""
    warnings = []
    for rank, figures in peaks.items():
        peak, counted = figures.peak_allocated_bytes, figures.torch_peak_bytes
        if peak is None or counted is None or peak == counted:
            continue
        curve = run.memory.loc[run.memory[RANK] == rank, ALLOCATED]
        if counted != curve.max():  # torch's count may be of a step that is not used
            warnings.append(
                f"{rank_name(rank)}: memory: the curve's peak is {peak} bytes, torch's "
                f"max_memory_allocated {counted} ({peak - counted:+d}); the curve misses "
                "allocations, or rounds them differently"
            )
    return warnings


def stage_figures(run: Run, peaks: dict[int, MemoryFigures]) -> list[StageFigures]:
    """Every stage with the ranks that hold it; memory is a rank's, all its stages together."""
    holders: dict[int, list[int]] = {}
    for place in run.places:
        for stage in sorted(set(place.stages)):
            holders.setdefault(stage, []).append(place.rank)
    return [
        StageFigures(
            stage=stage,
            ranks=ranks,
            peak_allocated_bytes=_largest(peaks[rank].peak_allocated_bytes for rank in ranks),
            peak_reserved_bytes=_largest(peaks[rank].peak_reserved_bytes for rank in ranks),
        )
        for stage, ranks in sorted(holders.items())
    ]


def total_memory(peaks: dict[int, MemoryFigures]) -> TotalMemory:
    """The largest peak of any rank."""
    known = {
        rank: figures.peak_allocated_bytes
        for rank, figures in peaks.items()
        if figures.peak_allocated_bytes is not None
    }
    if not known:
        return TotalMemory()
    rank = max(known, key=lambda one: known[one])
    return TotalMemory(
        peak_allocated_bytes=known[rank],
        peak_reserved_bytes=_largest(figures.peak_reserved_bytes for figures in peaks.values()),
        rank=rank,
    )


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _reserved(curve: pd.DataFrame) -> int | None:
    reserved = int(curve[RESERVED].max())
    return reserved if reserved > 0 else None  # a CPU reserves nothing: -1 or 0


def _slot_at(slots: pd.DataFrame, at: int) -> str | None:
    running = slots[(slots[START] <= at) & (at < slots[END])]
    return None if running.empty else str(running[SLOT].iloc[0])


def _in_flight(slots: pd.DataFrame, at: int) -> dict[str, int] | None:
    """Direction -> chunks whose forward had started and whose last backward had not ended.

    None where there are no slots, or a training loop has named them in its own way.
    """
    read = [read_slot(text) for text in slots[SLOT].astype(str)]
    if slots.empty or None in read:
        return None
    held: Counter[int] = Counter()
    for slot, start, end in zip(read, slots[START], slots[END], strict=True):
        for action in slot or ():
            held[action.direction] += action.operation is Operation.FORWARD and start <= at
            frees = action.operation in (Operation.BACKWARD, Operation.WEIGHT_GRADIENT)
            held[action.direction] -= frees and end <= at
    return {str(direction): count for direction, count in sorted(held.items())}


def _static_bytes(place: RankPlace) -> int | None:
    parts = (place.parameter_bytes, place.gradient_bytes, place.optimizer_bytes)
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _predicted_bytes(run: Run, place: RankPlace, in_flight: int | None) -> int | None:
    static = _static_bytes(place)
    if static is None or in_flight is None or run.schedule is None:
        return None
    if place.chunk_bytes and len(place.chunk_bytes) == len(run.schedule.placement.streams):
        return static + most_bytes_held(run.schedule.ranks[place.pp_rank], place.chunk_bytes)
    if place.activation_bytes is None:
        return None
    return static + in_flight * place.activation_bytes
