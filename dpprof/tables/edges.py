"""Groups of messages as text: an edge ``0>1``, and the batch ``0>1#3 2>0#5`` of several."""

from __future__ import annotations

import re

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
