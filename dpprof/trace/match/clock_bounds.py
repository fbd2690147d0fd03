"""What matched operations say about the clocks of two ranks, and what follows for all ranks.

An operation that cannot end before another rank has started bounds the difference of the two
clocks at that instant from one side; operations both ways bound it from both. Over a trace these
bounds are two clouds of points, and the difference of the clocks is a line between them (Duda,
Harrus, Haddad, Bernard: "Estimating global time in distributed systems", 1987). What the lines of
all pairs allow together are shortest paths in the graph of ranks (Halpern, Megiddo, Munshi:
"Optimal precision in the presence of uncertainty", 1985).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Corner = tuple[float, float]

MOST_DRIFT = 200e-6
"""How fast two clocks may drift apart; quartz keeps to 50 ppm or better."""

_BINS = 64  # of a pair's operations over the trace: the tightest of each is kept


class Points(NamedTuple):
    """Bounds of one pair: `when` is 0 at the first instant of the trace and 1 at the last."""

    when: Values
    most: Values

    def tightest(self) -> Points:
        """The least bound of each part of the trace."""
        part = (self.when * _BINS).astype(np.int64)
        order = np.lexsort((self.most, part))
        first = np.append(True, np.diff(part[order]) != 0) if len(order) else order == 0
        return Points(self.when[order][first], self.most[order][first])


class Ends(NamedTuple):
    """Bounds on the difference of two clocks at the first and the last instant of a trace.

    ``most[k]`` bounds it from above, ``-least[k]``'s negative from below, inf where nothing does.
    `slack` is by how much the operations contradict each other: 0 where some line fits.
    """

    most: Corner
    least: Corner
    slack: float


def line_ends(above: Points, below: Points, drift: float) -> Ends:
    """Bounds from points that the line lies below (`above`), and that its negative does (`below`).

    `drift` is the most that the difference may change over the trace.
    """
    above, below = above.tightest(), below.tightest()
    if not len(above.when) or not len(below.when):
        infinite = (np.inf, np.inf)
        most = _one_sided(above, drift) if len(above.when) else infinite
        least = _one_sided(below, drift) if len(below.when) else infinite
        return Ends(most, tuple(-value for value in least), 0.0)  # type: ignore[arg-type]
    sides = [(when, bound, 1.0) for when, bound in zip(*above, strict=True)]
    sides += [(when, bound, -1.0) for when, bound in zip(*below, strict=True)]

    def feasible(slack: float) -> list[Corner]:
        return _polygon(sides, drift + slack, slack)

    slack = least_slack(lambda slack: bool(feasible(slack)))
    corners = feasible(slack)
    first, last = zip(*corners, strict=True)
    return Ends((max(first), max(last)), (min(first), min(last)), slack)


def _one_sided(points: Points, drift: float) -> Corner:
    """Upper bounds at both ends: a line may rise or fall by `drift` on the way there."""
    first = float((points.most + points.when * drift).min())
    last = float((points.most + (1 - points.when) * drift).min())
    return first, last


def least_slack(fits: Callable[[float], bool]) -> float:
    """The least number from 0 that fits, to within a nanosecond; `fits` holds from there on."""
    if fits(0.0):
        return 0.0
    high = 1.0
    while not fits(high):
        high *= 4
    low = high / 4 if high > 1 else 0.0
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _polygon(sides: list[tuple[float, float, float]], drift: float, slack: float) -> list[Corner]:
    """Corners of the set of lines, as (first, last) values, that every side allows."""
    reach = 2 * (max(abs(bound) for _, bound, _ in sides) + slack + drift) + 1
    corners = [(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)]
    for when, bound, sign in sides:
        corners = _cut(corners, (sign * (1 - when), sign * when), bound + slack)
    corners = _cut(corners, (1.0, -1.0), drift)
    return _cut(corners, (-1.0, 1.0), drift)


def _cut(corners: list[Corner], normal: Corner, bound: float) -> list[Corner]:
    """The part of a convex polygon where the product with `normal` is at most `bound`."""
    kept: list[Corner] = []
    beyond = [normal[0] * x + normal[1] * y - bound for x, y in corners]
    for position, (x, y) in enumerate(corners):
        before = beyond[position - 1]
        if (before > 0) != (beyond[position] > 0):
            share = before / (before - beyond[position])
            other = corners[position - 1]
            kept.append((other[0] + share * (x - other[0]), other[1] + share * (y - other[1])))
        if beyond[position] <= 0:
            kept.append((x, y))
    return kept


def closed(most: Matrix) -> tuple[Matrix, float]:
    """The tightest bounds that follow along all paths, and the slack that makes them agree.

    ``most[a, b]`` bounds what b's clock needs more than a's. Where a cycle of bounds contradicts
    itself, all of them are loosened by the least slack with which none does.
    """

    def paths(slack: float) -> Matrix:
        best = most + slack
        np.fill_diagonal(best, 0.0)
        for through in range(len(best)):
            np.minimum(best, best[:, through, None] + best[None, through, :], out=best)
        return best

    slack = least_slack(lambda slack: bool((np.diagonal(paths(slack)) >= -1e-3).all()))
    best = paths(slack)
    np.fill_diagonal(best, 0.0)
    return best, slack
