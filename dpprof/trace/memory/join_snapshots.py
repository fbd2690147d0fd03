"""Joins memory snapshots with what the profiler says: one memory curve per rank, with its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dpprof.errors import DpprofError
from dpprof.evidence.evidence import MEMORY as MEMORY_PEAKS
from dpprof.evidence.evidence import Evidence
from dpprof.runs.clocks import corrected
from dpprof.runs.host_slots import host_slots
from dpprof.runs.run import Run
from dpprof.tables.columns import (
    ACTIVATIONS,
    ALLOCATED,
    AT,
    COMMUNICATION_BUFFERS,
    END,
    GRADIENTS,
    MEMORY,
    OPTIMIZER_STATE,
    PARAMETERS,
    RANK,
    RESERVED,
    START,
    STEP,
    make_table,
)
from dpprof.tables.concat import concat_tables
from dpprof.trace.activities.nesting import innermost
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.memory.snapshot import MemorySnapshot, read_snapshot
from dpprof.trace.memory.snapshot_files import find_snapshots
from dpprof.trace.memory.usage import find_usage
from dpprof.trace.read.columns import Codes, Nanoseconds

PARTS = (PARAMETERS, GRADIENTS, OPTIMIZER_STATE, ACTIVATIONS, COMMUNICATION_BUFFERS)

_AGREES = 0.01
"""Share by which the peaks of profiler and snapshot may differ: blocks are rounded differently."""


@dataclass(frozen=True)
class _Joined:
    """The curve of one rank (columns `MEMORY`), and what there is to say about it."""

    curve: pd.DataFrame
    warnings: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()


def with_snapshots(run: Run, given: Mapping[int, Path] | None = None) -> Run:
    """The run with its ranks' memory snapshots joined into its memory table.

    Snapshots are those `given` (rank -> file), listed in ``run.json``, or beside the traces
    (`find_snapshots`). Where the profiler has a curve too, its bytes count, which are the
    allocator's own, and the snapshot says what they are for. Raises `DpprofError` for a named file
    that is not a snapshot; one that was only found beside the traces is left out with a warning.
    """
    files, warnings = find_snapshots(run, given or {})
    if not files and not warnings:
        return run
    curves = {int(rank): run.memory[run.memory[RANK] == rank] for rank in run.memory[RANK].unique()}
    evidence: list[Evidence] = []
    for rank, found in files.items():
        try:
            joined = _join(run, rank, read_snapshot(found.file), found.file.name)
        except DpprofError as error:
            if found.named:
                raise
            warnings.append(f"left out as memory snapshot of rank {rank}: {error}")
            continue
        curves[rank] = joined.curve
        warnings += joined.warnings
        evidence += joined.evidence
    tables = [curves[rank] for rank in sorted(curves)]
    return replace(
        run,
        memory=concat_tables(MEMORY, tables),
        warnings=(*run.warnings, *warnings),
        evidence=(*run.evidence, *evidence),
    )


def _join(run: Run, rank: int, snapshot: MemorySnapshot, name: str) -> _Joined:
    profiled = run.memory[run.memory[RANK] == rank]
    snapshot = _on_common_clock(run, rank, snapshot)
    warnings = _doubts(run, rank, snapshot, name)
    if not _overlaps(run, rank, snapshot):
        return _Joined(profiled, tuple(warnings))
    usage = find_usage(snapshot, host_slots(run, rank), _steps(run, rank, snapshot.at_ns))
    warnings += [f"rank {rank}: memory: {reason}" for reason in usage.reasons]
    table = make_table(
        MEMORY,
        {
            RANK: rank,
            STEP: _steps(run, rank, usage.at_ns),
            AT: usage.at_ns,
            ALLOCATED: usage.allocated,
            RESERVED: usage.reserved,
            **usage.parts,
        },
    )
    if profiled.empty:
        return _Joined(table, tuple(warnings), tuple(_at_least(rank, snapshot, name)))
    warnings += _disagreement(run, rank, profiled, table)
    return _Joined(_with_parts(profiled, table), tuple(warnings))


def _at_least(rank: int, snapshot: MemorySnapshot, name: str) -> Iterator[Evidence]:
    """Why the peak of a snapshot may not be the rank's."""
    entries = len(snapshot.entries)
    if snapshot.overflowed:
        yield Evidence(
            "snapshot-overflow",
            1,
            1,
            (rank,),
            MEMORY_PEAKS,
            f"{name}: the ring of the memory history overflowed, and what is left begins late "
            f"({entries} entries): the peak of rank {rank} is at least what is shown; record with "
            "a larger max_entries",
        )
    if snapshot.others:
        yield Evidence(
            "snapshot-devices",
            snapshot.others,
            snapshot.others + 1,
            (rank,),
            MEMORY_PEAKS,
            f"{name}: {snapshot.others + 1} devices have a memory history: the peak of rank {rank} "
            f"is that of device {snapshot.device}, and of all together at least that",
        )


def _doubts(run: Run, rank: int, snapshot: MemorySnapshot, name: str) -> list[str]:
    doubts = []
    if snapshot.skipped:
        doubts.append(f"{name}: {snapshot.skipped} entries are damaged or have no time: left out")
    if not _overlaps(run, rank, snapshot):
        why = "is of another time than the trace" if snapshot.entries else "has no history"
        doubts.append(
            f"{name}: the memory snapshot of rank {rank} {why} and is left out; call "
            "torch.cuda.memory._record_memory_history before the profiled steps"
        )
    return doubts


def _on_common_clock(run: Run, rank: int, snapshot: MemorySnapshot) -> MemorySnapshot:
    if not len(run.clocks) or not snapshot.entries:
        return snapshot
    times = np.array([one.at_ns for one in snapshot.entries], dtype=np.int64)
    right = corrected(times, np.full(len(times), rank), run.clocks)
    moved = zip(snapshot.entries, right.tolist(), strict=True)
    return replace(snapshot, entries=tuple(one._replace(at_ns=at) for one, at in moved))


def _overlaps(run: Run, rank: int, snapshot: MemorySnapshot) -> bool:
    """Whether anything of the snapshot is of the time of the trace."""
    if not snapshot.entries:
        return False
    spans, at = run.held.spans, snapshot.at_ns
    own = spans[spans[RANK] == rank]
    marks = run.steps[run.steps[RANK] == rank]
    curve = run.memory.loc[run.memory[RANK] == rank, AT]
    starts = [*own[START], *marks[START], *curve[:1]]
    ends = [*own[END], *marks[END], *curve[-1:]]
    return bool(starts) and int(at[0]) <= max(ends) and min(starts) <= int(at[-1])


def _steps(run: Run, rank: int, at_ns: Nanoseconds) -> Codes:
    """The step of each instant: by the host's marks; all is step 0 where there are none."""
    marks = run.steps[run.steps[RANK] == rank]
    if marks.empty:
        return np.zeros(len(at_ns), dtype=np.int32)
    found = innermost(marks[START].to_numpy(), marks[END].to_numpy(), at_ns)
    steps: Codes = np.append(marks[STEP].to_numpy(), np.int32(OUTSIDE)).astype(np.int32)[found]
    return steps


def _with_parts(profiled: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The profiler's curve; at each instant the parts are those of the snapshot then."""
    before = np.searchsorted(table[AT].to_numpy(), profiled[AT].to_numpy(), side="right") - 1
    parts = {name: np.append(table[name].to_numpy(), -1)[before] for name in PARTS}
    return profiled.assign(**parts)


def _disagreement(run: Run, rank: int, profiled: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    used = [one[one[STEP].isin(run.used_steps)][ALLOCATED] for one in (profiled, table)]
    if used[0].empty or used[1].empty:
        return []
    by_profiler, by_snapshot = (int(one.max()) for one in used)
    if abs(by_profiler - by_snapshot) <= _AGREES * by_profiler:
        return []
    return [
        f"rank {rank}: memory: the profiler's peak is {by_profiler} bytes, the snapshot's "
        f"{by_snapshot}; the profiler's counts, what it is made of is the snapshot's"
    ]
