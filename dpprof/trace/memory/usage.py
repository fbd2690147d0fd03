"""What was allocated when, and for what, from a snapshot of the caching allocator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.schedules.actions import OVERLAPPED_PAIR
from dpprof.tables.columns import (
    ACTIVATIONS,
    COMMUNICATION_BUFFERS,
    END,
    GRADIENTS,
    OPERATION,
    OPTIMIZER_STATE,
    PARAMETERS,
    START,
)
from dpprof.trace.activities.nesting import innermost
from dpprof.trace.memory.origins import Origin
from dpprof.trace.memory.snapshot import AllocatorAction, MemorySnapshot
from dpprof.trace.read.columns import Codes, Mask, Nanoseconds

_Integers = npt.NDArray[np.int64]

GRANULE_BYTES = 512
"""The caching allocator rounds every allocation up to whole granules."""

_REST = -1
_FORWARD_SLOTS = ("F", OVERLAPPED_PAIR)


class Allocations(NamedTuple):
    """One entry each per allocation; `born` and `died` count entries of the snapshot.

    `born` is -1 where it was allocated before the first entry, `died` the number of entries where
    it is still allocated at the end.
    """

    born: _Integers
    died: _Integers
    size: _Integers
    origin: Codes


@dataclass(frozen=True)
class Usage:
    """A memory curve: after each entry, the bytes allocated and reserved, and by part.

    `parts` maps a part's column to its bytes; -1 throughout where it is not known, for a reason in
    `reasons`. The entry before the first one is not in the curve.
    """

    at_ns: Nanoseconds
    allocated: _Integers
    reserved: _Integers
    parts: dict[str, _Integers]
    reasons: tuple[str, ...]


def find_allocations(snapshot: MemorySnapshot) -> Allocations:
    """Follow the addresses from their allocation to their freeing."""
    held = {block.address: block for block in snapshot.blocks}
    rows: list[tuple[int, int, int, int]] = []
    living: dict[int, int] = {}  # address -> position in rows
    never = len(snapshot.entries)
    for position, entry in enumerate(snapshot.entries):
        if entry.action is AllocatorAction.ALLOCATE:
            if (gone := living.get(entry.address)) is not None:  # its freeing was not recorded
                rows[gone] = (rows[gone][0], position, *rows[gone][2:])
            living[entry.address] = len(rows)
            rows.append((position, never, _rounded(entry.size), entry.origin))
        elif entry.action is AllocatorAction.FREE:
            row = living.pop(entry.address, None)
            if row is None:
                rows.append((-1, position, _rounded(entry.size), Origin.NOT_RECORDED))
            else:
                born, _, size, origin = rows[row]
                rows[row] = (born, position, size, origin)
    for address, block in held.items():
        row = living.pop(address, None)
        if row is None:
            rows.append((-1, never, block.size, block.origin))
        else:
            born, died, _, origin = rows[row]
            rows[row] = (born, died, block.size, origin or block.origin)
    columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
    lost = list(living.values()) if snapshot.blocks else []  # allocated, but not there at the end
    columns = np.delete(columns, lost, axis=0)
    return Allocations(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3].astype(np.int32))


def follow_addresses(address: _Integers, change: _Integers) -> Allocations:
    """Allocations from changes alone, in order of time: an address names what is freed.

    Entries count the changes. What is freed without having been allocated was there before.
    """
    order = np.lexsort((np.arange(len(address)), address))
    following = np.append(order[1:], len(order))
    following[:-1][np.diff(address[order]) != 0] = len(order)
    allocates = change[order] > 0
    born, died = order[allocates], following[allocates]
    begins = np.diff(address[order], prepend=np.int64(-1)) != 0
    begins[:1] = True
    early = order[begins & (change[order] < 0)]
    return Allocations(
        born=np.append(born, np.full(len(early), -1)),
        died=np.append(died, early),
        size=np.abs(change[np.append(born, early)]),
        origin=np.full(len(born) + len(early), Origin.NOT_RECORDED, dtype=np.int32),
    )


def activation_bytes(
    allocations: Allocations, at_ns: Nanoseconds, slots: pd.DataFrame, step_of_entry: Codes
) -> _Integers:
    """The bytes of activations after each entry, by how long they are held alone.

    As in `find_usage`; but what outlasts its step too is none, where a step follows.
    """
    step = _before_and_after(step_of_entry)
    is_freed = allocations.died < len(at_ns)
    outlasts = is_freed & (step[allocations.died] != step[allocations.born])
    outlasts |= ~is_freed & (step[allocations.born] != step_of_entry[-1:])
    part = _parts(allocations, at_ns, slots, step_of_entry)
    wanted = (part == _PARTS.index(ACTIVATIONS)) & ~outlasts
    return _curve(allocations, wanted, len(at_ns))


def _rounded(size: int) -> int:
    return -(-size // GRANULE_BYTES) * GRANULE_BYTES


def find_usage(snapshot: MemorySnapshot, slots: pd.DataFrame, step_of_entry: Codes) -> Usage:
    """The curve of a snapshot; `slots` are the rank's own, on its host, on the snapshot's clock.

    What is freed in the slot it was allocated in is temporary; what outlasts a forward slot is an
    activation, what outlasts a backward slot a gradient. Optimizer state outlasts its step.
    """
    allocations = find_allocations(snapshot)
    part = _parts(allocations, snapshot.at_ns, slots, step_of_entry)
    count = len(snapshot.entries)
    known, reasons = _known(allocations, part, has_slots=len(slots) > 0)
    parts = {
        name: _curve(allocations, part == code, count)
        if name in known
        else np.full(count, -1, dtype=np.int64)
        for code, name in enumerate(_PARTS)
    }
    everything = np.ones(len(part), dtype=bool)
    return Usage(
        at_ns=snapshot.at_ns,
        allocated=_curve(allocations, everything, count),
        reserved=_reserved(snapshot),
        parts=parts,
        reasons=reasons,
    )


_PARTS = (PARAMETERS, GRADIENTS, OPTIMIZER_STATE, ACTIVATIONS, COMMUNICATION_BUFFERS)


def _parts(
    allocations: Allocations, at_ns: Nanoseconds, slots: pd.DataFrame, step_of_entry: Codes
) -> Codes:
    """The part of each allocation: a position in `_PARTS`, or `_REST`."""
    born, died, _, origin = allocations
    slot_of_entry = innermost(slots[START].to_numpy(), slots[END].to_numpy(), at_ns)
    slot, step = _before_and_after(slot_of_entry), _before_and_after(step_of_entry)
    in_slot = slot[born] >= 0
    ends_in_slot = in_slot & (slot[died] == slot[born])
    ends_in_step = (born >= 0) & (died < len(at_ns)) & (step[died] == step[born])
    operation = np.append(slots[OPERATION].astype(str).to_numpy(dtype=object), "")
    forward = np.isin(operation[slot[born]].astype(str), _FORWARD_SLOTS)
    no_word = np.isin(origin, (Origin.NOT_RECORDED, Origin.OTHER)) & in_slot
    backward_ends = ends_in_slot | (~in_slot & ends_in_step)
    choices = [
        (origin == Origin.PARAMETER, PARAMETERS),
        (origin == Origin.GRADIENT, GRADIENTS),
        (origin == Origin.OPTIMIZER_STATE, OPTIMIZER_STATE),
        (origin == Origin.ACTIVATION, ACTIVATIONS),
        (origin == Origin.COMMUNICATION, COMMUNICATION_BUFFERS),
        ((origin == Origin.FORWARD) & ~ends_in_slot, ACTIVATIONS),
        ((origin == Origin.BACKWARD) & ~backward_ends, GRADIENTS),
        ((origin == Origin.OPTIMIZER_STEP) & ~ends_in_step, OPTIMIZER_STATE),
        (no_word & ~ends_in_slot & forward, ACTIVATIONS),
        (no_word & ~ends_in_slot & ~forward, GRADIENTS),
    ]
    codes = [_PARTS.index(name) for _, name in choices]
    return np.select([mask for mask, _ in choices], codes, _REST).astype(np.int32)


def _before_and_after(of_entry: npt.NDArray[np.signedinteger[Any]]) -> Codes:
    """One more at the end, -1, which stands for before the first entry (-1) and after the last."""
    return np.append(of_entry, -1).astype(np.int32)


def _known(
    allocations: Allocations, part: Codes, *, has_slots: bool
) -> tuple[set[str], tuple[str, ...]]:
    """The parts that are known, and why the others are not."""
    not_recorded = allocations.origin == Origin.NOT_RECORDED
    framed = not not_recorded.all()
    known, reasons = set(_PARTS), []
    early = int(allocations.size[not_recorded & (allocations.born < 0)].sum())
    if early:
        known -= {PARAMETERS, GRADIENTS, OPTIMIZER_STATE}
        reasons.append(
            f"parameters, gradients, optimizer state: {early} bytes were allocated before the "
            "snapshot's recording began; call _record_memory_history before the model is made"
        )
    if not framed:
        known.discard(COMMUNICATION_BUFFERS)
        reasons.append(
            "communication buffers: the snapshot has no stack frames; record with context='all'"
        )
        if not has_slots:
            known -= {PARAMETERS, GRADIENTS, OPTIMIZER_STATE, ACTIVATIONS}
            reasons.append("activations: the snapshot has no stack frames, and there are no slots")
    return known, tuple(reasons)


def _curve(allocations: Allocations, wanted: Mask, count: int) -> _Integers:
    """Bytes allocated of the wanted allocations after each entry."""
    born, died, size = (column[wanted] for column in allocations[:3])
    change = np.zeros(count + 2, dtype=np.int64)
    np.add.at(change, born + 1, size)
    np.add.at(change, died + 1, -size)
    return np.cumsum(change)[1 : count + 1]


def _reserved(snapshot: MemorySnapshot) -> _Integers:
    """Bytes reserved after each entry, counted back from what is reserved at the end."""
    sign = {AllocatorAction.RESERVE: 1, AllocatorAction.RELEASE: -1}
    change = np.array(
        [sign.get(entry.action, 0) * entry.size for entry in snapshot.entries], dtype=np.int64
    )
    after = np.cumsum(change[::-1])[::-1] - change
    return snapshot.reserved_bytes - after
