"""The Chrome trace event format, as far as Perfetto reads it: slices, counters, flows, names.

Perfetto turns microseconds into nanoseconds by cutting off, so a time that a float cannot hold
exactly is written as the next float above it: cut off or rounded, it gives the same nanosecond.
Source: "Trace Event Format" (Google) and Perfetto's JSON importer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Event = dict[str, Any]
Nanoseconds = npt.NDArray[np.int64]


def microseconds(times_ns: Nanoseconds) -> list[float]:
    """Times or durations for ``ts`` and ``dur``, exact to the nanosecond.

    For 52 days where a reader cuts off, as Perfetto does, and for 26 where it rounds.
    """
    values = times_ns / 1000.0
    low = (values * 1000.0).astype(np.int64) < times_ns
    values[low] = np.nextafter(values[low], np.inf)
    result: list[float] = values.tolist()
    return result


def disjoint_rows(starts: Nanoseconds, ends: Nanoseconds) -> npt.NDArray[np.int64]:
    """The row that each span is drawn in, so that the spans of one row do not overlap.

    Rows count from 0. Perfetto takes spans of one track for nested calls and drops those that
    overlap in another way.
    """
    rows = np.zeros(len(starts), dtype=np.int64)
    order = np.lexsort((ends, starts))
    if (starts[order[1:]] >= np.maximum.accumulate(ends[order])[:-1]).all():
        return rows
    free_at: list[int] = []
    for index, start, end in zip(
        order.tolist(), starts[order].tolist(), ends[order].tolist(), strict=True
    ):
        row = next((row for row, free in enumerate(free_at) if free <= start), len(free_at))
        if row == len(free_at):
            free_at.append(end)
        free_at[row] = end
        rows[index] = row
    return rows


def process_name(pid: int, name: str, order: int) -> Iterator[Event]:
    """Names a track group and puts it in its place."""
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": order}}


def track_name(pid: int, tid: int, name: str) -> Iterator[Event]:
    """Names a track and puts it in its place: tracks are sorted by their numbers."""
    yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name}}
    sort = {"sort_index": tid}
    yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": sort}


def slices(
    pid: int,
    tids: Iterable[int],
    names: Iterable[str],
    categories: Iterable[str],
    spans: tuple[Nanoseconds, Nanoseconds],
    arguments: Mapping[str, Sequence[Any]],
) -> Iterator[Event]:
    """Complete events; `spans` are starts and ends, arguments that are -1 or "" are left out."""
    starts, ends = spans
    keys = tuple(arguments)
    values = zip(*arguments.values(), strict=True) if keys else ((),) * len(starts)
    rows = zip(
        tids, names, categories, microseconds(starts), microseconds(ends - starts), values,
        strict=True,
    )  # fmt: skip
    for tid, name, category, ts, dur, row in rows:
        known = {key: value for key, value in zip(keys, row, strict=True) if _is_known(value)}
        yield {
            "ph": "X",
            "pid": pid,
            "tid": tid,
            "ts": ts,
            "dur": dur,
            "name": name or "(no name)",
            "cat": category,
            "args": known,
        }


def _is_known(value: Any) -> bool:
    return value is not None and value != -1 and value != ""


def counter(
    pid: int, name: str, at_ns: Nanoseconds, series: Mapping[str, Sequence[float]]
) -> Iterator[Event]:
    """A counter track for each of `series`, which holds a value for every instant."""
    keys = tuple(series)
    for ts, values in zip(microseconds(at_ns), zip(*series.values(), strict=True), strict=True):
        args = {key: value for key, value in zip(keys, values, strict=True) if value >= 0}
        yield {"ph": "C", "pid": pid, "ts": ts, "name": name, "args": args}


def flow(
    number: int, name: str, source: tuple[int, int, float], target: tuple[int, int, float]
) -> Iterator[Event]:
    """An arrow between the slices that hold two points (pid, tid, ts)."""
    for phase, (pid, tid, ts) in (("s", source), ("f", target)):
        event = {"ph": phase, "id": number, "pid": pid, "tid": tid, "ts": ts}
        event |= {"name": name, "cat": name}
        yield event | {"bp": "e"} if phase == "f" else event
