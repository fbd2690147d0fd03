"""What each pixel of each lane shows: the piece that fills most of it, and how much is filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dpprof.dashboards.detail.longest import LongestActivities, Numbers

NONE = -1


@dataclass(frozen=True)
class Lanes:
    """The pieces of lanes, one lane after another; those of a lane are sorted and disjoint.

    Lane i has the pieces ``offsets[i]`` to ``offsets[i + 1] - 1``; ``filled_ns[j]`` is the length
    of the first j pieces of all.
    """

    offsets: Numbers
    starts: Numbers
    ends: Numbers
    filled_ns: Numbers
    longest: LongestActivities

    @classmethod
    def of(cls, offsets: Numbers, starts: Numbers, ends: Numbers) -> Lanes:
        """Lanes of pieces ``[starts, ends)``."""
        lengths = ends - starts
        filled = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(offsets, starts, ends, filled, LongestActivities.of(lengths))

    def within(self, lane: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        """The pieces of a lane that touch ``[start_ns, end_ns)``: first, and after the last."""
        low, high = self.offsets[lane : lane + 2].tolist()
        first = low + int(np.searchsorted(self.ends[low:high], start_ns, side="right"))
        last = low + int(np.searchsorted(self.starts[low:high], end_ns, side="left"))
        return first, max(first, last)


class Pixels(NamedTuple):
    """A row of pixels over ``[start_ns, end_ns)``; no pixel is shorter than a nanosecond."""

    start_ns: int
    end_ns: int
    number: int

    @property
    def edges(self) -> Numbers:
        """The `number` + 1 edges of the pixels."""
        span = self.end_ns - self.start_ns
        return self.start_ns + np.arange(self.number + 1, dtype=np.int64) * span // self.number


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

    @property
    def drawn(self) -> int:
        """How many pieces have a pixel of their own; those of one piece are side by side."""
        first = np.diff(self.pieces, axis=1, prepend=NONE) != 0
        return int((first & (self.pieces >= 0)).sum())


def columns(lanes: Lanes, chosen: npt.NDArray[np.intp], pixels: Pixels) -> Columns:
    """The pixels of the chosen lanes, exactly; the time this takes depends on their number.

    Of each edge between pixels it is found how many pieces start before it. Then nothing of the
    pieces between two edges needs to be looked at but the longest.
    """
    edges = pixels.edges
    before = np.empty((len(chosen), pixels.number + 1), dtype=np.int64)
    for row, lane in enumerate(chosen.tolist()):
        low, high = lanes.offsets[lane : lane + 2].tolist()
        before[row] = low + np.searchsorted(lanes.starts[low:high], edges, side="left")
    last_end = _last_end(lanes, chosen, before)
    busy = np.diff(lanes.filled_ns[before] - np.maximum(last_end - edges, 0), axis=1)
    return Columns(pixels, _shown(lanes, before, last_end, edges), busy)


def _last_end(lanes: Lanes, chosen: npt.NDArray[np.intp], before: Numbers) -> Numbers:
    """Where the last piece that starts before each edge ends; long ago where there is none."""
    if not len(lanes.ends):
        return np.full(before.shape, _LONG_AGO)
    first = lanes.offsets[chosen][:, None]
    ends: Numbers = np.where(before > first, lanes.ends[before - 1], _LONG_AGO)
    return ends


_LONG_AGO = np.int64(-(2**62))


def _shown(lanes: Lanes, before: Numbers, last_end: Numbers, edges: Numbers) -> Numbers:
    """For each pixel the piece that fills the most of it.

    That is the one that comes in from the left, or the longest that lies within, or the one that
    goes out to the right; the earliest of equals.
    """
    shape = (len(before), len(edges) - 1)
    left, right = (np.broadcast_to(edge, shape).ravel() for edge in (edges[:-1], edges[1:]))
    first, last = before[:, :-1].ravel(), before[:, 1:].ravel()
    came_in, goes_on = last_end[:, :-1].ravel(), last_end[:, 1:].ravel()
    comes_in, goes_out = came_in > left, goes_on > right
    shown = np.where(comes_in, first - 1, NONE)
    length = np.where(comes_in, np.minimum(came_in, right) - left, 0)
    inside = np.flatnonzero(last - goes_out > first)
    longest = lanes.longest.within(first[inside], (last - goes_out)[inside])
    _put_longer(shown, length, inside, (longest, lanes.longest.lengths[longest]))
    out = np.flatnonzero(goes_out & (last > first))
    leaving = last[out] - 1
    _put_longer(shown, length, out, (leaving, right[out] - lanes.starts[leaving]))
    return shown.reshape(shape)


def _put_longer(
    shown: Numbers, length: Numbers, cells: npt.NDArray[np.intp], found: tuple[Numbers, Numbers]
) -> None:
    """Shows the pieces found for some cells where they fill more than what is shown there."""
    pieces, own = found
    better = own > length[cells]
    shown[cells[better]], length[cells[better]] = pieces[better], own[better]
