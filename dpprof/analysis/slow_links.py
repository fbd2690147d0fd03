"""Links between two ranks whose messages take far longer than those of the other links.

What counts is the time that a receiver waits once the message is under way: from when both sides
are there to the end of the receive. Who sends late is no link (`waited_for` names him). Of the
steps the (lower) median is taken, and three of four messages must be slow: a wire that is slow is
slow for all, a rank that does not run now and then is no wire.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpprof.analysis.events.pipeline_messages import P2P, posted
from dpprof.analysis.observations import SlowLink
from dpprof.runs.run import Run
from dpprof.tables.columns import BYTES, END, GROUP, KIND, NAME, READY, START, STEP
from dpprof.tables.edges import edge_of
from dpprof.tables.intervals import Intervals, length_before, make_intervals, union
from dpprof.tables.kinds import COMPUTE

MOST = 5
_FACTOR = 2.0
_SHARE_OF_STEP = 0.01
_FASTER = 0.25
"""The share of a link's messages that may be as fast as others'."""
_TAKES, _EXPOSED = "takes", "exposed"


def slow_links(run: Run, step_ns: int | None) -> list[SlowLink]:
    """The links that stand out, the costliest first.

    What stands out takes more than twice the median of the other links, and its receiver waits at
    least 1 % of the step longer for it. Larger messages may take longer in proportion.
    """
    received = [_received(run, place.rank) for place in run.places]
    received = [one for one in received if not one.empty]
    if not step_ns or not received:
        return []
    messages = pd.concat(received, ignore_index=True)
    by_step = messages.groupby([GROUP, STEP])[[_TAKES, BYTES]].mean()
    links = by_step.groupby(level=GROUP).quantile(0.5, interpolation="lower")
    faster = messages.groupby(GROUP)[_TAKES].quantile(_FASTER, interpolation="higher")
    found = {name: _measured(str(name), links, messages) for name in links.index}
    wanted = [
        one
        for name, one in found.items()
        if min(one.message_ns, faster[name]) > _FACTOR * one.others_ns
        and one.excess_ns >= _SHARE_OF_STEP * step_ns
    ]
    return sorted(wanted, key=lambda one: -one.excess_ns)[:MOST]


def _measured(name: str, links: pd.DataFrame, messages: pd.DataFrame) -> SlowLink:
    """A link beside the others; alone it is like itself."""
    others = links.drop(index=name) if len(links) > 1 else links
    takes, size = (float(links.loc[[name], column].median()) for column in (_TAKES, BYTES))
    usual, usual_size = (float(others[column].median()) for column in (_TAKES, BYTES))
    if size > usual_size > 0:
        usual *= size / usual_size
    own = messages[messages[GROUP] == name]
    more = (own[_EXPOSED] - usual).clip(lower=0).groupby(own[STEP]).sum()
    sender, receiver = edge_of(name) or (-1, -1)
    return SlowLink(
        sender=sender,
        receiver=receiver,
        messages=round(len(own) / own[STEP].nunique()),
        message_ns=round(takes),
        others_ns=round(usual),
        excess_ns=round(float(more.quantile(0.5, interpolation="lower"))),
    )


def _received(run: Run, rank: int) -> pd.DataFrame:
    """A row for each message that the rank received in the used steps, from whom is known."""
    events = run.held.of_rank(rank)
    rows = events[(events[KIND] == P2P) & (events[READY] >= 0) & events[STEP].isin(run.used_steps)]
    if rows.empty:
        return rows
    codes, values = pd.factorize(rows[GROUP])
    edges = [edge_of(str(value)) for value in values]
    names = np.array([*(_name(edge, rank) for edge in edges), ""], dtype=object)[codes]
    wanted = (names != "") & ~posted(rows[NAME])
    rows, names = rows[wanted], names[wanted]
    ends = rows[END].to_numpy(np.int64)
    both_there = np.maximum(rows[START].to_numpy(np.int64), rows[READY].to_numpy(np.int64))
    both_there = np.minimum(both_there, ends)
    computing = _computing(events)
    hidden = length_before(computing, ends) - length_before(computing, both_there)
    takes = ends - both_there
    times = {_TAKES: takes, _EXPOSED: takes - hidden}
    said = {name: rows[name].to_numpy(np.int64) for name in (STEP, BYTES)}
    return pd.DataFrame({GROUP: names, **said, **times})


def _name(edge: tuple[int, int] | None, receiver: int) -> str:
    """An edge into the rank, as one however many there are between the two; else empty."""
    return "" if edge is None or edge[1] != receiver else f"{edge[0]}>{edge[1]}"


def _computing(events: pd.DataFrame) -> Intervals:
    rows = events[events[KIND] == COMPUTE]
    return union(make_intervals(rows[START].to_numpy(np.int64), rows[END].to_numpy(np.int64)))
