"""Scans one trace on several cores: pieces that begin at a guess, taken where the guess held."""

from __future__ import annotations

import itertools
import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dpprof.runs.workers import usable_cores
from dpprof.trace.read.collector import Collector
from dpprof.trace.read.engines import ParserPosition, ScannedBlock, State, Stop, scan_compiled
from dpprof.trace.read.file_bytes import ReadableBytes

_PIECE_BYTES = 4 << 20
_REACH_BYTES = 1 << 20
_GLANCE_BYTES = 1 << 14
_BEHIND_BYTES = 64  # an event has ended for certain where what follows it is seen
_MOST_THREADS = 8
_BETWEEN_EVENTS = re.compile(rb'\}[ \t\r\n]*(,)[ \t\r\n]*\{[ \t\r\n]*"(?:ph|name|cat|args)"')


def scan_pieces(data: ReadableBytes, collector: Collector) -> tuple[int, State]:
    """Scan `data` into `collector`; where to go on, and how, with what could not be taken so.

    A piece's beginning may lie inside an event that holds what looks like events. So a piece
    counts only where the one before it came to just that byte between two events.
    """
    starts = [0, *_guess_starts(data)]
    position, state = 0, State()
    if len(starts) == 1:
        return position, state
    later = State(ParserPosition.AFTER_EVENT, is_list=bytes(data[:64]).lstrip().startswith(b"["))
    states = itertools.chain([state], itertools.repeat(later))
    with ThreadPoolExecutor(_threads()) as pool:
        pending = [
            pool.submit(_scan, data, start, stop, at)
            for (start, stop), at in zip(
                itertools.pairwise([*starts, len(data)]), states, strict=False
            )
        ]
        for start, future in zip(starts, pending, strict=True):
            if start != position or (start and state != later):
                break
            block = future.result()
            collector.add(block)
            position, state = block.position, block.state
            if block.stop != Stop.FINE:
                break
        pool.shutdown(cancel_futures=True)
    return position, state


def _scan(data: ReadableBytes, start: int, stop: int, state: State) -> ScannedBlock:
    piece = data[start : stop + _BEHIND_BYTES]
    block = scan_compiled(piece, 0, min(stop - start, len(piece)), state)
    return replace(block, position=start + block.position, stop_at=start + block.stop_at)


def _threads() -> int:
    if multiprocessing.parent_process() is not None:
        return 1  # the other processes have the other cores
    return min(usable_cores(), _MOST_THREADS)


def _guess_starts(data: ReadableBytes) -> list[int]:
    starts = []
    for nominal in range(_PIECE_BYTES, len(data) - _PIECE_BYTES // 2, _PIECE_BYTES):
        for reach in (_GLANCE_BYTES, _REACH_BYTES):
            found = _BETWEEN_EVENTS.search(data[nominal : nominal + reach])
            if found is not None:
                starts.append(nominal + found.start(1))
                break
    return starts
