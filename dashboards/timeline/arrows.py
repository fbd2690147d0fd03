"""Where what is selected leads: what a bubble waited for, the other end of a transfer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dpprof.analysis.events.pipeline_messages import message_name
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.detail.index import BUBBLES, P2P_LANE, SLOTS, lane_names
from dpprof.dashboards.timeline.hit_test import BUBBLE, EVENT, SLOT, Hit
from dpprof.dashboards.timeline.picture_model import Arrow, Mark, Selected
from dpprof.dashboards.timeline.picture_rows import PictureRow
from dpprof.dashboards.timeline.scene import Scene, SceneRun
from dpprof.dashboards.view.state import Selection
from dpprof.export.arrows import arrows
from dpprof.runs.run import Run
from dpprof.tables.columns import (
    CAUSE,
    CAUSE_RANK,
    END,
    GROUP,
    KIND,
    LANE,
    RANK,
    READY,
    SEQUENCE,
    START,
    STEP,
)
from dpprof.tables.columns import (
    SLOT as SLOT_COLUMN,
)
from dpprof.tables.kinds import COMMUNICATION_KINDS

MOST_MESSAGES = 600
"""Messages that are drawn as arrows at once."""

MOST_ENDS = 64
"""Other ends of one collective that arrows lead to."""


@dataclass(frozen=True)
class End:
    """Something that a selection leads to or comes from; times are of the step.

    `from_ns` and `to_ns` are where its arrow begins and ends; `source` says whether the arrow
    comes from here and goes to what is selected.
    """

    what: str
    rank: int
    start_ns: int
    end_ns: int
    lane: str
    name: str
    source: bool
    from_ns: int
    to_ns: int
    number: int = 0

    def selection(self, run: str) -> Selection:
        """What the URL says of it."""
        return Selection(self.what, run, self.rank, self.start_ns, self.number)


def ends_of(hit: Hit | None) -> list[End]:
    """What the bubble waited for, or the other ends of the transfer; empty where none is known."""
    if hit is None:
        return []
    if hit.what == BUBBLE:
        return _waited_for(hit)
    if hit.what == EVENT and hit.values[KIND] in COMMUNICATION_KINDS:
        return _other_ends(hit)
    return []


def _waited_for(hit: Hit) -> list[End]:
    rank, cause = int(hit.values[CAUSE_RANK]), str(hit.values[CAUSE] or "")
    if rank < 0:
        return []
    found = _slot_of(hit.run, rank, cause)
    if found is not None:
        start, end = (int(found[name]) - hit.run.origin_ns for name in (START, END))
        return [End(SLOT, rank, start, end, SLOTS, str(found[SLOT_COLUMN]), True, end, hit.end_ns)]
    return [replace(end, to_ns=hit.end_ns) for end in _last_to_come(hit, rank)]


def _slot_of(run: SceneRun, rank: int, action: str) -> pd.Series[Any] | None:
    """The slot of a rank that holds an action; I stands for B where a trace calls it so."""
    slots = run.run.run.slots
    slots = slots[(slots[RANK] == rank) & (slots[STEP] == run.step)]
    wanted = message_name(action)
    holds = [
        wanted in map(message_name, text.split("&")) for text in slots[SLOT_COLUMN].astype(str)
    ]
    rows = np.flatnonzero(holds)
    return slots.iloc[int(rows[0])] if len(rows) else None


def _last_to_come(hit: Hit, rank: int) -> list[End]:
    """The other end, on that rank, of the communication that waited until the bubble ended."""
    events = hit.run.run.run.held.communications
    at_ns = hit.run.origin_ns + hit.end_ns
    own = events[(events[RANK] == hit.rank) & (events[STEP] == hit.run.step)]
    own = own[(own[READY] >= 0) & (own[START] < at_ns) & (own[END] >= at_ns)]
    own = own.iloc[(own[READY] - at_ns).abs().argsort(kind="stable")]
    for row in ({str(k): v for k, v in one.items()} for one in own.to_dict("records")):
        ends = [end for end in _other_ends(replace(hit, values=row)) if end.rank == rank]
        if ends:
            return ends[:1]
    return []


def _other_ends(hit: Hit) -> list[End]:
    events = hit.run.run.run.held.communications
    same = np.ones(len(events), dtype=bool)
    for name in (STEP, KIND, GROUP, SEQUENCE):
        same &= (events[name] == hit.values[name]).to_numpy(bool)
    together = events[same].reset_index(drop=True)
    if int(hit.values[SEQUENCE]) < 0:
        return []
    own = (together[RANK] == hit.rank) & (together[START] == hit.values[START])
    ends = []
    pairs = arrows(together)
    for source, target in [*pairs.sound.tolist(), *pairs.late.tolist()]:
        for here, there in ((source, target), (target, source)):
            if own[here]:
                ends.append(_end(hit, together, there, (source, target)))
    return ends[:MOST_ENDS]


def _end(hit: Hit, together: pd.DataFrame, other: int, pair: tuple[int, int]) -> End:
    source, target = pair
    row = together.iloc[other]
    start, end = (int(row[name]) - hit.run.origin_ns for name in (START, END))
    return End(
        EVENT,
        int(row[RANK]),
        start,
        end,
        _together(row),
        str(row[KIND]),
        other == source,
        int(together[START].iloc[source]) - hit.run.origin_ns,
        int(together[END].iloc[target]) - hit.run.origin_ns,
    )


def _together(row: pd.Series[Any]) -> str:
    frame = pd.DataFrame({KIND: [row[KIND]], LANE: [row[LANE]]})
    return str(lane_names(frame, "together")[0])


def selected_of(scene: Scene, hit: Hit | None, ends: list[End]) -> Selected:
    """Boxes around what is selected and its other ends, and arrows between them."""
    own = None if hit is None else row_of(scene, hit)
    if hit is None or own is None:
        return Selected()
    marks, lines = [Mark(own, hit.start_ns, hit.end_ns)], []
    for end in ends:
        row = scene.rows.find(hit.run.run.id, end.rank, end.lane)
        if row is None:
            continue
        marks.append(Mark(row, end.start_ns, end.end_ns))
        rows = (row, own) if end.source else (own, row)
        lines.append(Arrow((end.from_ns, rows[0]), (end.to_ns, rows[1])))
    return Selected(marks, lines)


def messages_in(library: Library, scene: Scene) -> list[Arrow]:
    """The messages between stages that are under way in the range, the longest if they are many."""
    found = [arrow for run in scene.runs for arrow in _messages(library, scene, run)]
    found.sort(key=lambda arrow: arrow.source[0] - arrow.target[0])
    return found[:MOST_MESSAGES]


def _messages(library: Library, scene: Scene, run: SceneRun) -> Iterator[Arrow]:
    table = library.kept(("messages", run.run.id), lambda: _message_table(run.run.run))
    start, end = (run.origin_ns + at for at in (scene.start_ns, scene.end_ns))
    shown = table[(table["sent"] < end) & (table["received"] > start) & (table[STEP] == run.step)]
    shown = shown.nlargest(MOST_MESSAGES, "length")
    columns = [shown[name].tolist() for name in ("source", "target", "sent", "received")]
    for source, target, sent, received in zip(*columns, strict=True):
        ends = [scene.rows.find(run.run.id, rank, P2P_LANE) for rank in (source, target)]
        if ends[0] is not None and ends[1] is not None and ends[0] is not ends[1]:
            yield Arrow((sent - run.origin_ns, ends[0]), (received - run.origin_ns, ends[1]))


def _message_table(run: Run) -> pd.DataFrame:
    """Every matched message: ranks, when it was sent and when all of it was there."""
    events = run.held.communications
    events = events[events[KIND] == P2P_LANE].reset_index(drop=True)
    pairs = np.concatenate(arrows(events))
    source, target = events.iloc[pairs[:, 0]], events.iloc[pairs[:, 1]]
    columns = {
        "source": source[RANK].to_numpy(),
        "target": target[RANK].to_numpy(),
        STEP: source[STEP].to_numpy(),
        "sent": source[START].to_numpy(),
        "received": target[END].to_numpy(),
    }
    table = pd.DataFrame(columns)
    return table.assign(length=table["received"] - table["sent"])


def row_of(scene: Scene, hit: Hit) -> PictureRow | None:
    """The row in which something is drawn."""
    names = {BUBBLE: [BUBBLES], SLOT: [SLOTS]}.get(hit.what)
    if names is None:
        one = pd.DataFrame({KIND: [hit.values[KIND]], LANE: [hit.values[LANE]]})
        names = [str(lane_names(one, lanes)[0]) for lanes in ("streams", "together")]
    rows = [scene.rows.find(hit.run.run.id, hit.rank, name) for name in names]
    exact = [row for row, name in zip(rows, names, strict=True) if row and row.name == name]
    return exact[0] if exact else rows[0]
