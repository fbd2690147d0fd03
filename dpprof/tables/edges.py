"""Groups of messages as text: an edge ``0>1``, and the batch ``0>1#3 2>0#5`` of several."""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER_MARK = "#"
BATCH_SEPARATOR = " "


def edge_of(group: str) -> tuple[int, int] | None:
    """Sender and receiver of a pipeline edge ``0>1``, or ``0>1@name`` of several between the two.

    None for any other group.
    """
    source, arrow, rest = group.partition(">")
    target = rest.partition("@")[0]
    if arrow and source.isdecimal() and target.isdecimal():
        return int(source), int(target)
    return None


_POSTED = re.compile(r"(?:gloo|mpi|ucc):i?(?:send|recv)")


def is_posted(name: str) -> bool:
    """Whether a span of this name goes from a message's call to the end of the wait for it."""
    return _POSTED.match(name) is not None


def batch_text(messages: list[tuple[str, int]]) -> str:
    """The group of a batch of (edge, number within the edge and step)."""
    return BATCH_SEPARATOR.join(f"{edge}{NUMBER_MARK}{number}" for edge, number in messages)


_INSIDE = re.compile(r"(nccl:[0-9a-f]+)/(\d+|x)>(\d+|x)")


class InnerEdge(NamedTuple):
    """A message within a communicator whose ranks are numbered from 0; -1 where it is not told."""

    communicator: str
    sender: int
    receiver: int


def inner_edge(group: str) -> InnerEdge | None:
    """What ``nccl:abc/0>1`` says; None for any other group."""
    found = _INSIDE.fullmatch(group)
    if found is None:
        return None
    sender, receiver = (-1 if one == "x" else int(one) for one in (found[2], found[3]))
    return InnerEdge(found[1], sender, receiver)


def outer_group(group: str) -> str:
    """The communicator of an edge within one; any other group as it is."""
    edge = inner_edge(group)
    return group if edge is None else edge.communicator
