"""Joins the scanned pieces of one trace into its columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dpprof.trace.read.begin_end import pair_halves
from dpprof.trace.read.budget import Budget
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Codes,
    Collective,
    MemoryColumns,
    Nanoseconds,
    TraceColumns,
    Unread,
)
from dpprof.trace.read.engines import COLLECTIVE, MEMORY, PAIR, SPAN, ScannedBlock
from dpprof.trace.read.json_values import Token, text_of
from dpprof.trace.read.message_inputs import make_collective

_LIMIT_NS = 2**62

_Columns = dict[str, npt.NDArray[Any]]


class _Numbers:
    """Numbers distinct values in order of appearance, over all pieces; fills up as it goes."""

    def __init__(self) -> None:
        self.values: dict[Any, int] = {}

    def codes(self, values: Iterable[Any]) -> Codes:
        """The numbers of these values; one more at the end, -1, for "none"."""
        table = self.values
        return np.array([*(table.setdefault(one, len(table)) for one in values), -1], np.int32)


class Collector:
    """Takes blocks in file order and gives the columns; has state while they come in."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._rows = 0
        self.skipped = 0
        self.skipped_work = 0
        self.skipped_memory = 0
        self.events = 0
        self.lists = 0
        self._headers: dict[bytes, bytes] = {}
        self._spans: list[_Columns] = []
        self._memory: list[_Columns] = []
        self._names = _Numbers()
        self._threads = _Numbers()
        self._streams = _Numbers()
        self._collectives = _Numbers()
        self._thread_names: dict[tuple[str, str], tuple[str, ...]] = {}
        self._process_names: dict[str, tuple[str, ...]] = {}

    def add(self, block: ScannedBlock) -> None:
        """Take the next block; raises `DpprofError` where the trace has more than it may."""
        self._rows += _rows_of(block)
        self._budget.check_rows(self._rows)
        self.skipped += block.skipped
        self.skipped_work += block.skipped_work
        self.skipped_memory += block.skipped_memory
        self.events += block.events
        self.lists += block.lists
        self._headers.update(block.headers)
        texts = [text_of(token) for token in block.texts]
        pairs = np.frombuffer(block.threads, PAIR).tolist()
        threads = [
            (_label(block.texts[pid], texts[pid]), _label(block.texts[tid], texts[tid]))
            for pid, tid in pairs
        ]
        for thread, name in np.frombuffer(block.thread_names, PAIR).tolist():
            place = threads[thread]
            self._thread_names[place] = (*self._thread_names.get(place, ()), texts[name])
        for process, name in np.frombuffer(block.process_names, PAIR).tolist():
            pid = _label(block.texts[process], texts[process])
            self._process_names[pid] = (*self._process_names.get(pid, ()), texts[name])
        self._add_spans(block, threads, texts)
        memory = np.frombuffer(block.memory, MEMORY)
        self._memory.append({name: memory[name].copy() for name in MEMORY.names or ()})

    def _add_spans(
        self, block: ScannedBlock, threads: list[tuple[str, str]], texts: list[str]
    ) -> None:
        spans = np.frombuffer(block.spans, SPAN)
        names = self._names.codes(text_of(token) for token in block.names)
        streams = self._streams.codes(text_of(token) for token in block.streams)
        # Only threads with spans are numbered: the others are known by their names alone.
        used = np.zeros(len(threads) + 1, dtype=bool)
        used[spans["thread"]] = True
        rows = np.flatnonzero(used[:-1])
        thread = np.full(len(threads) + 1, -1, dtype=np.int32)
        thread[rows] = self._threads.codes(threads[row] for row in rows)[:-1]
        collectives = self._collectives.codes(_collectives(block, texts))
        columns: _Columns = {
            name: spans[name].copy()
            for name in ("start_ns", "duration_ns", "correlation", "bytes", "device")
        }
        columns["category"] = spans["category"].astype(np.uint8)
        columns["name"] = names[spans["name"]]
        columns["thread"] = thread[spans["thread"]]
        columns["stream"] = streams[spans["stream"]]
        columns["collective"] = collectives[spans["collective"]]
        self._spans.append(columns)

    def columns(
        self, damage: tuple[str, ...] = (), *, dropped: int = 0, is_cut: bool = False
    ) -> TraceColumns:
        """All that was taken, once; times made absolute.

        `dropped` are the device activities that could not be given to it; `is_cut` says whether
        the trace goes on where nothing more can be read.
        """
        base_ns = self._base_ns()
        spans, begun, ended, halves = pair_halves(
            _joined(self._spans), self._names.values.get("", -1)
        )
        spans["start_ns"] += base_ns
        keep = np.abs(spans["start_ns"]) < _LIMIT_NS
        if not keep.all():
            self.skipped += int((~keep).sum())
            self.skipped_work += int(np.isin(spans["category"][~keep], DEVICE_CATEGORIES).sum())
            spans = {name: column[keep] for name, column in spans.items()}
        end_ns = spans.pop("duration_ns")
        end_ns += spans["start_ns"]
        if begun or ended:
            damage = (
                *damage,
                f"of the rows of phases B and E, {begun} begin and do not end and {ended} end and "
                "did not begin: they are left out",
            )
        return TraceColumns(
            **spans,
            end_ns=end_ns,
            names=tuple(self._names.values),
            threads=tuple(self._threads.values),
            streams=tuple(self._streams.values),
            collectives=tuple(self._collectives.values),
            thread_names=self._thread_names,
            process_names=self._process_names,
            memory=_memory(_joined(self._memory), base_ns),
            distributed=self._header(b"distributedInfo"),
            host_name=self._header(b"host_name"),
            dpprof=self._header(b"dpprof"),
            devices=self._header(b"deviceProperties"),
            skipped=self.skipped,
            damage=damage,
            unread=Unread(self.skipped_work + halves + dropped, self.skipped_memory, is_cut),
        )

    def _base_ns(self) -> int:
        base = self._header(b"baseTimeNanoseconds")
        return base if type(base) is int and abs(base) < _LIMIT_NS else 0

    def _header(self, key: bytes) -> Any:
        try:
            return msgspec.json.decode(self._headers.get(key, b"null"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # a number out of range, or nested too deeply


def _rows_of(block: ScannedBlock) -> int:
    names = (len(block.thread_names) + len(block.process_names)) // PAIR.itemsize
    return len(block.spans) // SPAN.itemsize + len(block.memory) // MEMORY.itemsize + names


def _label(token: Token, text: str) -> str:
    return "None" if token == b"null" else text


def _collectives(block: ScannedBlock, texts: list[str]) -> list[Collective]:
    rows = np.frombuffer(block.collectives, COLLECTIVE)
    return [
        make_collective([texts[code] for code in codes], numbers)
        for codes, numbers in zip(rows["texts"].tolist(), rows["numbers"].tolist(), strict=True)
    ]


def _joined(pieces: list[_Columns]) -> _Columns:
    """The pieces one after another; each column of the pieces is let go once it is joined."""
    return {name: np.concatenate([piece.pop(name) for piece in pieces]) for name in list(pieces[0])}


def _memory(columns: _Columns, base_ns: int) -> MemoryColumns:
    at_ns: Nanoseconds = columns["at_ns"] + base_ns
    return MemoryColumns(
        at_ns=at_ns,
        change_bytes=columns["change"],
        allocated_bytes=columns["allocated"],
        reserved_bytes=columns["reserved"],
        address=columns["address"],
        device_type=columns["device_type"],
        device=columns["device"],
    )
