"""Activations in flight over time, and the memory curve that follows from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dpprof.costs.profile import MemoryCost
from dpprof.schedules.in_flight import most_bytes_held
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.engine import SimulatedStep
from dpprof.simulate.slot_columns import SlotColumns, slot_columns
from dpprof.simulate.timing import OPERATIONS
from dpprof.tables import columns

IN_FLIGHT: dict[str, str] = {
    columns.RANK: "int32",
    columns.AT: "int64",
    columns.DIRECTION: "int32",  # of the chunk that came or went
    "change": "int32",  # +1 at the start of its forward, -1 at the end of its B or W
    "in_flight": "int32",  # chunks of the rank from this change on, both directions
}

_F, _B, _W, _PAIR = (OPERATIONS.index(operation) for operation in ("F", "B", "W", "F&B"))


def in_flight(step: SimulatedStep) -> pd.DataFrame:
    """Chunks whose activations a rank holds, one row per change, by rank and time.

    A forward's activations are there from its start; they are freed at the end of its full
    backward or of its weight gradient. An overlapped pair holds both its chunks to its end.
    At one instant what ends is freed before what starts is allocated.
    """
    return in_flight_of(slot_columns(step))


def in_flight_of(slots: SlotColumns) -> pd.DataFrame:
    """`in_flight` from a step's slots."""
    forward = np.isin(slots.operation, (_F, _PAIR))
    backward = np.isin(slots.operation, (_B, _W, _PAIR))
    # The backward of a pair is its second action.
    member = (slots.operation[backward] == _PAIR).astype(np.intp)
    rank = np.concatenate([slots.rank[forward], slots.rank[backward]])
    at = np.concatenate([slots.start[forward], slots.end[backward]])
    released = slots.direction[np.flatnonzero(backward), member]
    direction = np.concatenate([slots.direction[forward, 0], released])
    change = np.repeat([1, -1], [int(forward.sum()), int(backward.sum())])
    order = np.lexsort((change, at, rank))
    values: dict[str, object] = {
        columns.RANK: rank[order],
        columns.AT: at[order],
        columns.DIRECTION: direction[order],
        "change": change[order],
    }
    table = columns.make_table(IN_FLIGHT, values)
    table["in_flight"] = table.groupby(columns.RANK)["change"].cumsum().astype("int32")
    return table


def static_bytes(schedule: Schedule, stages: Sequence[MemoryCost]) -> tuple[int, ...]:
    """Per pipeline rank: parameters, gradients and optimizer state of every stage it holds.

    `stages` is `dpprof.costs.stages.stage_memory`.
    """
    held = [one.parameter_bytes + one.gradient_bytes + one.optimizer_bytes for one in stages]
    return tuple(sum(held[stage] for stage in set(own)) for own in schedule.placement.stages)


def chunk_bytes(schedule: Schedule, stages: Sequence[MemoryCost]) -> tuple[tuple[int, ...], ...]:
    """Per pipeline rank and direction: the activations of one chunk in flight."""
    return tuple(
        tuple(stages[stage].activation_bytes for stage in own) for own in schedule.placement.stages
    )


def peak_bytes(schedule: Schedule, stages: Sequence[MemoryCost]) -> tuple[int, ...]:
    """The most that each pipeline rank holds: `static_bytes`, and its chunks in flight."""
    static, chunks = static_bytes(schedule, stages), chunk_bytes(schedule, stages)
    return tuple(
        own + most_bytes_held(slots, chunk)
        for own, slots, chunk in zip(static, schedule.ranks, chunks, strict=True)
    )


def memory_curve(
    schedule: Schedule, changes: pd.DataFrame, stages: Sequence[MemoryCost]
) -> pd.DataFrame:
    """The memory table of a run (`dpprof.tables.columns.MEMORY`) from `in_flight` changes.

    Each rank begins at time 0 with what it holds all the time; one row per instant of change.
    Without any memory cost there is nothing to say and the table is empty.
    """
    if all(stage == MemoryCost() for stage in stages):
        return columns.empty_table(columns.MEMORY)
    static = np.array(static_bytes(schedule, stages), dtype=np.int64)
    chunks = np.array(chunk_bytes(schedule, stages), dtype=np.int64)
    sizes = chunks[changes[columns.RANK], changes[columns.DIRECTION]] * changes["change"]
    held = changes.assign(held=sizes.groupby(changes[columns.RANK]).cumsum())
    last = held.groupby([columns.RANK, columns.AT], sort=True)["held"].last().reset_index()
    ranks = last[columns.RANK].to_numpy()
    values: dict[str, object] = {
        columns.RANK: np.concatenate([np.arange(schedule.pp), ranks]),
        columns.STEP: np.zeros(schedule.pp + len(last), dtype=np.int32),
        columns.AT: np.concatenate([np.zeros(schedule.pp, np.int64), last[columns.AT].to_numpy()]),
        columns.ALLOCATED: np.concatenate([static, static[ranks] + last["held"].to_numpy()]),
    }
    table = columns.make_table(columns.MEMORY, values)
    table = table.sort_values([columns.RANK, columns.AT], kind="stable")
    return table.drop_duplicates([columns.RANK, columns.AT], keep="last", ignore_index=True)
