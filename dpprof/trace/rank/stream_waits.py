"""Which work of the device waits for which other, where the trace records waits of streams.

``cudaStreamWaitEvent`` lets what is launched on a stream from then on wait for what was launched
on another one before the event was recorded there. Together with the order within streams that
is every dependency of work on work. Source: the CUDA programming guide, streams and events;
Kineto's ``cuda_sync`` rows (``enable_cuda_sync_events``), Nsight Systems' synchronisations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.tables.columns import AWAITED, RANK, WAITING, WAITS, make_table
from dpprof.trace.activities.find import Activities
from dpprof.trace.read.columns import (
    STREAM_WAIT,
    Category,
    Codes,
    Nanoseconds,
    Rows,
    TraceColumns,
    unpacked_waits,
)

_MOST_LOST = 0.05
"""Share of the waits whose event may be unknown: those recorded before the trace begins."""

_UNKNOWN = "what blocks is n/a"


class StreamWaits(NamedTuple):
    """Work that waits (positions in the events), and for what; `known` where the trace tells."""

    table: pd.DataFrame
    known: bool
    words: tuple[str, ...] = ()


def stream_waits(trace: TraceColumns, issued: Activities, row: int) -> StreamWaits:
    """The waits among the activities of a trace, as a table `WAITS` of the rank's `row`.

    The first activity that was launched on the waiting stream from then on stands for all later
    ones, the last one before the event for all earlier ones. Not known where the trace has no
    waits, does not say of more than one in twenty where the event was recorded, of any activity on
    which stream it ran, or where graphs run on several streams.
    """
    nothing = make_table(WAITS, {RANK: row, WAITING: [], AWAITED: []})
    named = np.array([one == STREAM_WAIT for one in trace.names], dtype=bool)
    waits = trace.rows(Category.SYNC)
    waits = waits[named[trace.name[waits]]]
    if not len(waits) or not issued.on_gpu:
        return StreamWaits(nothing, False)
    if inside := _in_graphs(trace, issued):
        words = f"{inside} activities of CUDA graphs run on several streams, and what waits for"
        return StreamWaits(
            nothing, False, (f"{words} what in a graph is not recorded: {_UNKNOWN}",)
        )
    if nameless := int((trace.stream[issued.rows] < 0).sum()):
        words = f"{nameless} activities do not say on which stream they ran: {_UNKNOWN}"
        return StreamWaits(nothing, False, (words,))
    streams, records, devices = unpacked_waits(trace.bytes[waits])
    recorded_ns = _called_at(trace, records)
    told = (trace.bytes[waits] >= 0) & (recorded_ns >= 0) & (trace.stream[waits] >= 0)
    known = np.unique(np.concatenate([trace.device[issued.rows], trace.device[waits]]))
    if (known >= 0).sum() > 1:  # of one device every row is that one's, said or not
        told &= (trace.device[waits] >= 0) & (known >= 0).all()
    lost = _lost(int((~told).sum()), len(waits))
    if int((~told).sum()) > _MOST_LOST * len(waits):
        return StreamWaits(nothing, False, lost)
    waits, recorded_ns, streams = waits[told], recorded_ns[told], streams[told]
    waited_ns = _called_at(trace, trace.correlation[waits])
    waited_ns = np.where(waited_ns >= 0, waited_ns, trace.start_ns[waits])
    numbers = {text: code for code, text in enumerate(trace.streams)}
    awaited_stream = np.array([numbers.get(str(one), -2) for one in streams.tolist()], np.int64)
    queues = _Queues(trace, issued, known.max())
    device = _or(trace.device[waits], known.max())
    recorded_on = np.where(devices[told] >= 0, devices[told], device).astype(device.dtype)
    waiting = queues.first_from(device, trace.stream[waits], waited_ns)
    awaited = queues.last_before(recorded_on, awaited_stream, recorded_ns)
    both = (waiting >= 0) & (awaited >= 0) & (waiting != awaited)
    pairs = np.unique(np.stack([waiting[both], awaited[both]], axis=1), axis=0)
    table = make_table(WAITS, {RANK: row, WAITING: pairs[:, 0], AWAITED: pairs[:, 1]})
    return StreamWaits(table, True, lost)


def _or(device: Codes, only: np.int32) -> Codes:
    """The device of each row, `only` where it says none."""
    return np.where(device >= 0, device, only).astype(device.dtype)


def _lost(lost: int, every: int) -> tuple[str, ...]:
    """What there is to say of waits whose event is not known."""
    if not lost:
        return ()
    most = lost > _MOST_LOST * every
    effect = _UNKNOWN if most else "what blocks is at least what the others say"
    return (f"{lost} of {every} waits of streams do not say for what: {effect}",)


def _in_graphs(trace: TraceColumns, issued: Activities) -> int:
    """How many activities share their launch, so a graph, with some of another stream."""
    rows = issued.rows[(issued.issue_ns >= 0) & (trace.correlation[issued.rows] > 0)]
    launch, stream = trace.correlation[rows], trace.stream[rows]
    order = np.argsort(launch, kind="stable")
    launch, stream = launch[order], stream[order]
    other = (launch[1:] == launch[:-1]) & (stream[1:] != stream[:-1])
    return int(np.isin(launch, launch[1:][other]).sum())


def _called_at(trace: TraceColumns, correlations: Nanoseconds) -> Nanoseconds:
    """When the calls with these correlations began; -1 for those that are not in the trace."""
    calls = trace.rows(Category.LAUNCH)
    calls = calls[trace.correlation[calls] > 0]
    calls = calls[np.argsort(trace.correlation[calls], kind="stable")]
    known = trace.correlation[calls]
    place = np.searchsorted(known, correlations)
    call = np.append(calls, -1)[np.where(place < len(calls), place, -1)]
    found = (place < len(calls)) & (np.append(known, -1)[place] == correlations)
    return np.where(found, trace.start_ns[call], -1)


class _Queues:
    """Activities by device and stream, in order of launch; holds that order."""

    def __init__(self, trace: TraceColumns, issued: Activities, only: np.int32) -> None:
        rows = np.flatnonzero(issued.issue_ns >= 0)
        self._streams = len(trace.streams) + 3
        device = _or(trace.device[issued.rows[rows]], only)
        key = self._key(device, trace.stream[issued.rows[rows]])
        order = np.lexsort((trace.start_ns[issued.rows[rows]], issued.issue_ns[rows], key))
        self._rows, self._keys = rows[order], key[order]
        self._issue_ns = issued.issue_ns[rows][order]

    def _key(self, device: Codes, stream: Codes | Nanoseconds) -> Nanoseconds:
        return device.astype(np.int64) * self._streams + stream + 2

    def first_from(self, device: Codes, stream: Codes, at_ns: Nanoseconds) -> Rows:
        """The first activity launched on each stream at each instant or later; -1 for none."""
        return self._at(self._key(device, stream), at_ns, 0)

    def last_before(self, device: Codes, stream: Nanoseconds, at_ns: Nanoseconds) -> Rows:
        """The last activity launched on each stream before each instant; -1 for none."""
        return self._at(self._key(device, stream), at_ns, -1)

    def _at(self, key: Nanoseconds, at_ns: Nanoseconds, step: int) -> Rows:
        low = np.searchsorted(self._keys, key, side="left")
        high = np.searchsorted(self._keys, key, side="right")
        result = np.full(len(key), -1, dtype=np.intp)
        for one, (begin, end) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            place = begin + int(np.searchsorted(self._issue_ns[begin:end], at_ns[one])) + step
            if begin <= place < end:
                result[one] = self._rows[place]
        return result
