"""Which ranks the critical path of a step goes through, and by which of their communications.

A rank's events are read when the path first comes by, and again for what lies on it. In between
only this is kept of a rank: from each of its communications, the next one back that waited for a
peer. So a path that goes to and fro between many ranks reads each of them twice at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dpprof.analysis.critical_path.message_links import Link, Links
from dpprof.analysis.critical_path.path_events import (
    LATE_NS,
    NO_ROW,
    PathRows,
    make_path_rows,
)
from dpprof.analysis.critical_path.predecessors import NONE, Rows
from dpprof.runs.run import Run
from dpprof.runs.windows import Windows
from dpprof.tables.columns import LAUNCH, RANK

_MOST_HELD = 12_000_000
"""Events (50 bytes each) that are kept in memory; of a bigger run, ranks are read again."""


class Visit(NamedTuple):
    """The path on one rank, from where it came to where it goes on to a peer.

    `came` is the number of the communication by which it came, `NONE` at the end of the step; it
    goes on from `entry` where that communication holds no instant, or there is none. `stop` is
    the number of the communication that waited for a peer, `NONE` where the path begins here.
    """

    step: int
    rank: int
    came: int
    entry: int
    stop: int


@dataclass
class HeldRows:
    """The events of ranks; has state because ranks are read when the path comes by."""

    run: Run
    links: Links
    windows: Windows
    held: dict[int, PathRows] = field(default_factory=dict)
    ways_back: dict[int, Rows] = field(default_factory=dict)

    def rows(self, rank: int) -> PathRows:
        """The events of a rank; the rank longest unused gives way where memory runs short."""
        if rank in self.held:
            self.held[rank] = self.held.pop(rank)
        else:
            rows = self._read(rank)
            while self.held and sum(map(len, self.held.values())) + len(rows) > _MOST_HELD:
                self.held.pop(next(iter(self.held)))
            self.held[rank] = rows
        return self.held[rank]

    def way_back(self, rank: int) -> Rows:
        """As `PathRows.way_back`; kept for every rank."""
        if rank not in self.ways_back:
            self.ways_back[rank] = self.rows(rank).way_back()
        return self.ways_back[rank]

    def _read(self, rank: int) -> PathRows:
        events = self.run.held.of_rank(rank)
        on_device = bool((events[LAUNCH] >= 0).any())
        late_ns = 0 if on_device else LATE_NS[self.run.source]
        known = rank in self.run.knows_waits
        waits = self.run.waits[self.run.waits[RANK] == rank] if known else None
        return make_path_rows(events, self.windows, self.links.leads(rank), late_ns, waits)


def visits(held: HeldRows, step: int, rank: int) -> Iterator[Visit]:
    """The visits of the path of a step, from its end on `rank` back to its beginning.

    A communication by which the path has gone to a peer before leads it nowhere again.
    """
    rows = held.rows(rank)
    entry = rows.last(step, held.windows[step][1])
    visit = Visit(step, rank, NONE, entry, rows.lead_from(entry))
    seen: dict[int, set[int]] = {}
    while True:
        gone = seen.setdefault(visit.rank, set())
        stop = visit.stop
        while stop in gone:
            stop = int(held.way_back(visit.rank)[stop])
        yield visit._replace(stop=stop)
        link = held.links.of(visit.rank, stop)
        if link is None:
            return
        gone.add(stop)
        visit = _arrival(held, visit._replace(stop=stop), link)


def _arrival(held: HeldRows, before: Visit, link: Link) -> Visit:
    """The visit of the peer that a communication waited for."""
    back = int(held.way_back(link.rank)[link.number])
    if back != NO_ROW:
        return Visit(before.step, link.rank, link.number, NONE, back)
    leaving = held.rows(before.rank)
    time = int(leaving.begin[leaving.of_number(before.stop)])
    rows = held.rows(link.rank)
    entry = rows.last(before.step, time)
    return Visit(before.step, link.rank, link.number, entry, rows.lead_from(entry))
