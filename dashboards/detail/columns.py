"""What each pixel of each lane shows: the piece that fills most of it, and how much is filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dashboards.detail.forest import Forest, Found, Numbers, Pixels, find, ranges


@dataclass(frozen=True)
class Columns:
    """Pixels of lanes, both arrays of shape (lanes, pixels).

    `pieces` is the piece that fills the most of a pixel (the earliest of equals), -1 where there
    is none; `busy_ns` how much of it all pieces together fill. So nothing is lost: whatever lasts
    a nanosecond leaves its pixel with some `busy_ns`.
    """

    pixels: Pixels
    pieces: Numbers
    busy_ns: Numbers

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """How much of each pixel is filled, 0 to 1."""
        shares: npt.NDArray[np.float64] = self.busy_ns / np.diff(self.pixels.edges)
        return shares


class _Parts(NamedTuple):
    """Parts of cells: in which, how long, which piece, and of that the longest part within."""

    cells: Numbers
    busy_ns: Numbers
    pieces: Numbers
    lengths: Numbers


def columns(forest: Forest, lanes: npt.NDArray[np.intp], pixels: Pixels) -> Columns:
    """The pixels of the lanes, exactly; the time this takes depends on their number."""
    *within, across = find(forest, lanes, pixels)
    parts = [_of_nodes(forest, found, pixels) for found in within]
    parts.append(_of_pieces(across, pixels))
    cells, busy, pieces, lengths = (np.concatenate(many) for many in zip(*parts, strict=True))
    shape = (len(lanes), pixels.count)
    busy_ns = np.zeros(shape[0] * shape[1], dtype=np.int64)
    np.add.at(busy_ns, cells, busy)
    order = np.lexsort((pieces, -lengths, cells))
    first = order[np.append(True, np.diff(cells[order]) > 0)[: len(order)]]
    shown = np.full(len(busy_ns), -1, dtype=np.int64)
    shown[cells[first]] = pieces[first]
    return Columns(pixels, shown.reshape(shape), busy_ns.reshape(shape))


def _of_nodes(forest: Forest, found: Found, pixels: Pixels) -> _Parts:
    level, nodes = found.level, found.nodes
    longest = level.longest[nodes]
    return _Parts(
        found.lanes * pixels.count + pixels.of(level.starts[nodes]),
        level.busy_ns[nodes],
        longest,
        forest.pieces.busy_ns[longest],
    )


def _of_pieces(found: Found, pixels: Pixels) -> _Parts:
    """The pixels that each piece touches: one part for each."""
    level, nodes = found.level, found.nodes
    starts = np.maximum(level.starts[nodes], pixels.start_ns)
    ends = np.minimum(level.ends[nodes], pixels.end_ns)
    first, last = pixels.of(starts), pixels.of(ends - 1)
    counts = last - first + 1
    owner = np.repeat(np.arange(len(nodes)), counts)
    touched = ranges(first, counts)
    edges = pixels.edges
    lengths = np.minimum(ends[owner], edges[touched + 1]) - np.maximum(
        starts[owner], edges[touched]
    )
    cells = found.lanes[owner] * pixels.count + touched
    return _Parts(cells, lengths, nodes[owner], lengths)
