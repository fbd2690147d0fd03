"""The parser: bytes of a Kineto trace to `TraceColumns`, with every digit of the times."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from dpprof.errors import DpprofError, faults_of
from dpprof.trace.read.budget import Budget
from dpprof.trace.read.collector import Collector
from dpprof.trace.read.columns import TraceColumns
from dpprof.trace.read.engine_python import scan_python
from dpprof.trace.read.engines import (
    MAX_DEPTH,
    Engine,
    ParserPosition,
    ScannedBlock,
    State,
    Stop,
    has_compiled,
    scan_compiled,
)
from dpprof.trace.read.file_bytes import FileBytes, ReadableBytes
from dpprof.trace.read.parallel import scan_pieces
from dpprof.trace.read.repair import DROPPED_WORK, JsonFault, Repair, repairs_for
from dpprof.trace.read.unpack import Stream

_PIECE_BYTES = 8 << 20
_MOST_EVENT_BYTES = 256 << 20
_WINDOW_BYTES = 1 << 20  # of what the compiled engine leaves to the other one
_REACH_BYTES = 1 << 20  # behind what is unsound; within it the next event begins
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TRACE_HINT = "give a Chrome-trace JSON of torch.profiler, which has a list of 'traceEvents'"


def read_trace(file: Path) -> TraceColumns:
    """Read a trace file, unpacked where it is gzip or zstd, whatever its name says.

    Holds little more than the columns in memory. Raises `DpprofError` as `parse_trace` does, and
    for a file that cannot be read or unpacks to more than it may.
    """
    with Stream(file) as stream, faults_of(file):
        if stream.is_packed:
            reading = _Reading(file, stream.budget)
            reading.read_all(stream.read)
            return reading.columns(stream.damage)
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return parse_trace(stream.read(-1), file)
        return parse_trace(FileBytes(stream.fileno()), file)


def parse_trace(data: ReadableBytes, file: Path) -> TraceColumns:
    """Read a trace that is not packed; `file` is only named in errors.

    Takes both forms, an object with ``traceEvents`` and a bare list of events. An event of a
    known category whose values have the wrong type is left out and counted. What is unsound is
    repaired where that loses nothing else; else the events before it are read; `damage` names
    the byte. Raises `DpprofError` for anything without events that can be read, and where memory
    would not hold them.
    """
    reading = _Reading(file, Budget())
    with faults_of(file):
        if has_compiled():
            reading.take_pieces(data)
        reading.read_all(_reader(data, reading.offset))
        return reading.columns()


def _reader(data: ReadableBytes, start: int) -> Callable[[int], bytes]:
    position = start

    def read(count: int) -> bytes:
        nonlocal position
        chunk = bytes(data[position : position + count])
        position += len(chunk)
        return chunk

    return read


class _Reading:
    """One trace being read; has state: the bytes not yet read and where the document stands."""

    def __init__(self, file: Path, budget: Budget) -> None:
        self.file = file
        self.offset = 0  # of the first byte of the buffer, in the unpacked trace
        self._buffer = bytearray()
        self._state = State()
        self._collector = Collector(budget)
        self._faults: dict[str, JsonFault] = {}
        self._damage: list[str] = []
        self._is_cut = False
        self._engine: Engine = scan_compiled if has_compiled() else scan_python

    def take_pieces(self, data: ReadableBytes) -> None:
        """Take as much as can be read in parallel."""
        self.offset, self._state = scan_pieces(data, self._collector)

    def read_all(self, read: Callable[[int], bytes]) -> None:
        """Read the rest, in pieces as big as the biggest event needs."""
        size, is_over = _PIECE_BYTES, False
        while not is_over:
            chunk = read(size)
            self._buffer += chunk
            if self.offset == 0 and self._buffer.startswith(_BYTE_ORDER_MARK):
                self._drop(len(_BYTE_ORDER_MARK))
            before = self.offset
            is_over = self._go_on(is_last=not chunk)
            size = _PIECE_BYTES if self.offset > before else 2 * size
            if not is_over and len(self._buffer) > _MOST_EVENT_BYTES:
                self._cut(f"holds one value of more than {_MOST_EVENT_BYTES} bytes", 0)
                is_over = True

    def _go_on(self, is_last: bool) -> bool:
        """Scan the buffer; whether that was all that can be read."""
        repairs: list[Repair] | None = None
        while True:
            block = self._scan()
            at = block.stop_at - block.position
            if block.stop == Stop.NO_TRACE:
                raise DpprofError(self._no_trace(at))
            if block.stop == Stop.FINE:
                return is_last
            needs = 2 * _PIECE_BYTES if block.stop == Stop.NEEDS_MORE else at + _REACH_BYTES
            if len(self._buffer) < needs and not is_last:
                return False
            if repairs is None:
                is_unsound = block.stop == Stop.UNSOUND
                repairs = repairs_for(self._buffer, self._state.place, is_unsound, is_last)
            if self._mend(repairs, is_last):
                continue
            if block.stop == Stop.DECLINED:
                self._cut(f"nests values more than {MAX_DEPTH} deep", at)
            elif block.stop == Stop.UNSOUND:
                self._cut("is not valid JSON", at)
            elif is_last:
                self._truncated()
            return is_last or block.stop != Stop.NEEDS_MORE

    def _scan(self) -> ScannedBlock:
        """Scan once, take what was found and drop it from the buffer."""
        block = self._engine(self._buffer, 0, len(self._buffer), self._state)
        window = _WINDOW_BYTES
        while block.stop == Stop.DECLINED and self._engine is not scan_python:
            self._take(block)
            piece = self._buffer[:window]
            block = scan_python(piece, 0, len(piece), self._state)
            if len(piece) == len(self._buffer) or block.stop in (Stop.DECLINED, Stop.UNSOUND):
                break
            window *= 1 if block.position else 2
            self._take(block)
            block = self._engine(self._buffer, 0, len(self._buffer), self._state)
        self._take(block)
        return block

    def _take(self, block: ScannedBlock) -> None:
        self._collector.add(block)
        self._state = block.state
        self._drop(block.position)

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self.offset += count

    def _mend(self, repairs: list[Repair], is_last: bool) -> bool:
        """Try what is left of `repairs`, up to one that changes something in the buffer."""
        while repairs:
            if self._repair(repairs.pop(0)(self._buffer, is_last)):
                return True
        return False

    def _repair(self, faults: list[JsonFault]) -> bool:
        for fault in faults:
            known = self._faults.get(fault.what)
            first = known.byte if known else self.offset + fault.byte
            count = fault.count + (known.count if known else 0)
            self._faults[fault.what] = JsonFault(fault.what, first, count)
        return bool(faults)

    def _no_trace(self, at: int) -> str:
        here = bytes(self._buffer[at : at + 1])
        is_first = self._state.place == ParserPosition.START and not self._buffer[:at].strip()
        if is_first and here not in b'"-0123456789':
            return (
                f"{self.file}: not valid JSON (byte {self.offset + at}); give a trace that "
                "torch.profiler wrote"
            )
        return f"{self.file}: not a profiler trace; {_TRACE_HINT}"

    def _cut(self, what: str, at: int) -> None:
        """Nothing after this can be read: an error without any event, else damage."""
        byte = self.offset + at
        if self._state.place == ParserPosition.END and bytes(self._buffer[at : at + 1]) in (
            b"{",
            b"[",
        ):
            self._damage.append(
                f"a second document begins at byte {byte}: only the first is read; split the file "
                "there to read the other"
            )
            return
        if not self._collector.events:
            raise DpprofError(
                f"{self.file}: {what} (byte {byte}); give a trace that torch.profiler wrote"
            )
        self._is_cut = True
        self._faults = {name: fault for name, fault in self._faults.items() if fault.byte < byte}
        self._damage.append(
            f"{what} at byte {byte}: the {self._collector.events} events before it are read"
        )

    def _truncated(self) -> None:
        end = self.offset + len(self._buffer)
        if self._state.place == ParserPosition.START and not self._buffer.strip():
            raise DpprofError(
                f"{self.file}: is empty; the profiler wrote nothing, profile the step again"
            )
        what = f"ends in the middle of the JSON, at byte {end}"
        if not self._collector.events:
            raise DpprofError(
                f"{self.file}: {what}; the profiler was cut off while writing, profile the step "
                "again"
            )
        self._damage.append(f"{what}: the {self._collector.events} whole events are read")
        is_between = self._state.place == ParserPosition.AFTER_EVENT
        is_between &= not self._buffer.strip(b" \t\r\n,")
        self._is_cut = not (self._state.is_list and is_between)  # a bare list need not be closed

    def columns(self, damage: list[str] | None = None) -> TraceColumns:
        """What was read. Raises `DpprofError` where there was no list of events."""
        if not self._collector.lists:
            raise DpprofError(f"{self.file}: not a profiler trace; {_TRACE_HINT}")
        faults = [
            f"{fault.what}, first at byte {fault.byte}, {fault.count} in all: read as missing"
            for fault in self._faults.values()
        ]
        lost = self._faults.get(DROPPED_WORK)
        return self._collector.columns(
            (*(damage or []), *faults, *self._damage),
            dropped=lost.count if lost else 0,
            is_cut=self._is_cut,
        )
