"""A run as one trace for Perfetto: a track group per rank, all ranks on one clock."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.pipeline_messages import message_name, producing_actions
from dpprof.export.chrome import Event, process_name
from dpprof.export.content import Content
from dpprof.export.flows import flows
from dpprof.export.place import whole_file
from dpprof.export.tracks import (
    TrackGroup,
    bubble_track,
    exposed_counter,
    lane_tracks,
    memory_counter,
    slot_track,
    step_track,
)
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.runs.windows import step_windows
from dpprof.system.inputs import encode_json
from dpprof.tables.columns import AT, END, GROUP, KIND, RANK, READY, SEQUENCE, START, STEP
from dpprof.tables.devices import rank_name
from dpprof.tables.kinds import COMMUNICATION_KINDS

_FASTEST = 1


def write(content: Content, path: Path) -> None:
    """Write the trace; packed where the name ends in ``.gz``.

    Each rank is a group of tracks: steps, schedule slots, bubbles by state with their causes, one
    track per lane, and counters of memory and of exposed communication. Arrows lead from a send
    to its receive, and from the last participant of a collective to all others; where a send is
    noted only after all was received, from the slot that made the message.
    """
    with whole_file(path) as file:
        if not path.name.endswith(".gz"):
            _write_trace(content, file)
            return
        with gzip.GzipFile("", "wb", _FASTEST, file, mtime=0) as packed:
            _write_trace(content, cast("IO[bytes]", packed))


def _write_trace(content: Content, file: IO[bytes]) -> None:
    origin_ns = _origin_ns(content.run)
    about = content.about() | {"origin_ns": str(origin_ns)}
    file.write(b'{"displayTimeUnit":"ns","otherData":' + encode_json(about))
    separator = b',"traceEvents":[\n'
    for event in trace_events(content, origin_ns):
        file.write(separator + encode_json(event))
        separator = b",\n"
    file.write(b"\n]}\n" if separator == b",\n" else separator + b"]}\n")


def trace_events(content: Content, origin_ns: int) -> Iterator[Event]:
    """The events of the trace; times count from `origin_ns`."""
    run, moved, made = content.run, [], []
    for order, place in enumerate(run.places):
        group = TrackGroup(place.rank + 1, origin_ns)
        yield from process_name(group.pid, _title(run, place), order)
        yield from step_track(group, _of(content.accounting.states, place.rank))
        slots = _of(run.slots, place.rank)
        tids, drawn = slot_track(group, slots)
        yield from drawn
        made.append(slots.assign(pid=group.pid, tid=tids))
        yield from bubble_track(group, _of(content.accounting.regions, place.rank))
        yield from memory_counter(group, _of(run.memory, place.rank))
        events = run.held.of_rank(place.rank)
        yield from exposed_counter(group, events)
        tids, drawn = lane_tracks(group, events)
        yield from drawn
        moved.append(_communications(events, group.pid, tids))
    if moved:
        yield from flows(pd.concat(moved, ignore_index=True), made, origin_ns)


def _communications(events: pd.DataFrame, pid: int, tids: npt.NDArray[np.int64]) -> pd.DataFrame:
    chosen = events[KIND].isin(COMMUNICATION_KINDS).to_numpy(bool)
    found = events.loc[chosen, [STEP, GROUP, KIND, SEQUENCE, RANK, START, END, READY]]
    actions = [message_name(action) for action in producing_actions(events[chosen])]
    # Ranks that know other groups have other categories, which do not concatenate cheaply.
    found = found.astype({GROUP: str, KIND: str})
    return found.assign(pid=pid, tid=tids[chosen], action=actions)


def _of(table: pd.DataFrame, rank: int) -> pd.DataFrame:
    return table[table[RANK] == rank]


def _title(run: Run, place: RankPlace) -> str:
    """``rank 3: pipeline rank 3, stages 3 4 (emulated)``."""
    title = rank_name(place.rank, run.devices)
    if place.stages:
        stages = " ".join(str(stage) for stage in dict.fromkeys(place.stages))
        title += f": pipeline rank {place.pp_rank}, stage{'s' * (' ' in stages)} {stages}"
    return title if run.source == "captured" else f"{title} ({run.source})"


def _origin_ns(run: Run) -> int:
    """The first instant of any table or step window that is drawn."""
    columns = [run.held.of_rank(place.rank)[START] for place in run.places]
    columns += [run.slots[START], run.memory[AT]]
    first = [int(column.min()) for column in columns if len(column)]
    return min([*first, *(start for start, _ in step_windows(run).values())], default=0)
