"""Sorted pieces of many lanes, with summaries of ever longer rows of them above.

What a picture of so many pixels shows is then found without looking at pieces that share a pixel:
the work depends on the pixels, not on the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]

BRANCH = 8
"""Nodes of a level that one node of the next stands for."""


@dataclass(frozen=True)
class Level:
    """Nodes of all lanes, one after another; lane i has ``offsets[i]`` to ``offsets[i + 1] - 1``.

    A node covers ``[starts, ends)``, of which its pieces fill `busy_ns`; `longest` is the piece
    that is longest, the first of equals.
    """

    offsets: Numbers
    starts: Numbers
    ends: Numbers
    busy_ns: Numbers
    longest: Numbers


@dataclass(frozen=True)
class Forest:
    """The levels over the pieces of lanes; the first holds the pieces, the last a node a lane."""

    levels: tuple[Level, ...]

    @property
    def pieces(self) -> Level:
        """The pieces themselves."""
        return self.levels[0]


class Found(NamedTuple):
    """Nodes that lie in one pixel each, or pieces: lane, and position in their level."""

    level: Level
    lanes: npt.NDArray[np.intp]
    nodes: Numbers


def make_forest(offsets: Numbers, starts: Numbers, ends: Numbers) -> Forest:
    """The forest over pieces, which are sorted and disjoint within each lane.

    Lane i has the pieces ``offsets[i]`` to ``offsets[i + 1] - 1``.
    """
    level = Level(offsets, starts, ends, ends - starts, np.arange(len(starts), dtype=np.int64))
    lengths = ends - starts
    levels = [level]
    while (np.diff(level.offsets) > 1).any():
        level = _above(level, lengths)
        levels.append(level)
    return Forest(tuple(levels))


def _above(level: Level, lengths: Numbers) -> Level:
    counts = -(-np.diff(level.offsets) // BRANCH)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    first = ranges(level.offsets[:-1], counts, BRANCH)
    sizes = np.diff(np.append(first, len(level.starts)))
    longest = lengths[level.longest]
    is_longest = longest == np.repeat(np.maximum.reduceat(longest, first), sizes)
    owner = np.repeat(np.arange(len(first)), sizes)
    rows = np.flatnonzero(is_longest)
    rows = rows[np.append(True, np.diff(owner[rows]) > 0)]
    return Level(
        offsets,
        level.starts[first],
        level.ends[first + sizes - 1],
        np.add.reduceat(level.busy_ns, first),
        level.longest[rows],
    )


def ranges(firsts: Numbers, counts: Numbers, step: int = 1) -> Numbers:
    """``first, first + step, ...``, `count` of them, for each pair, one after another."""
    ends = np.cumsum(counts)
    inside = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    return (np.repeat(firsts, counts) + step * inside).astype(np.int64)


class Pixels(NamedTuple):
    """A row of pixels over ``[start_ns, end_ns)``; no pixel is shorter than a nanosecond."""

    start_ns: int
    end_ns: int
    count: int

    @property
    def edges(self) -> Numbers:
        """The `count` + 1 edges of the pixels."""
        span = self.end_ns - self.start_ns
        return self.start_ns + np.arange(self.count + 1, dtype=np.int64) * span // self.count

    def of(self, instants: Numbers) -> Numbers:
        """The pixel that holds each instant of the span."""
        since = instants - self.start_ns
        return ((since + 1) * self.count - 1) // (self.end_ns - self.start_ns)


def find(forest: Forest, lanes: npt.NDArray[np.intp], pixels: Pixels) -> Iterator[Found]:
    """All pieces of the lanes that touch the span, those within one pixel as few nodes.

    The nodes of the last `Found` are pieces which touch several pixels or the span's ends. `lanes`
    of the result count in the given lanes.
    """
    top = forest.levels[-1]
    filled = np.flatnonzero(np.diff(top.offsets)[lanes] > 0)
    owner, nodes = filled, top.offsets[:-1][lanes[filled]]
    for number, level in reversed(list(enumerate(forest.levels))):
        starts, ends = level.starts[nodes], level.ends[nodes]
        seen = (ends > pixels.start_ns) & (starts < pixels.end_ns)
        owner, nodes, starts, ends = owner[seen], nodes[seen], starts[seen], ends[seen]
        whole = (starts >= pixels.start_ns) & (ends <= pixels.end_ns)
        whole[whole] = pixels.of(starts[whole]) == pixels.of(ends[whole] - 1)
        yield Found(level, owner[whole], nodes[whole])
        owner, nodes = owner[~whole], nodes[~whole]
        if number == 0:
            yield Found(level, owner, nodes)
            return
        below = forest.levels[number - 1]
        within = nodes - level.offsets[lanes[owner]]
        first = below.offsets[lanes[owner]] + BRANCH * within
        sizes = np.minimum(BRANCH, below.offsets[lanes[owner] + 1] - first)
        owner, nodes = np.repeat(owner, sizes), ranges(first, sizes)
