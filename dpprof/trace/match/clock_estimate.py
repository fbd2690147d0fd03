"""One clock for all ranks: how far each rank's clock is off, from its matched communications.

Ranks of one host share a clock; others need not. A receive cannot end before its send has
started, a collective that synchronises cannot end before its last participant has started. Only
where the trace contradicts this are clocks corrected: the ranks that agree with each other stay
as they are, each other one is shifted to the middle of what its communications allow, by a
constant if one explains everything, else by a line. A clock that no such line fits (it jumps, or
drifts by more than clocks do) is not corrected: it cannot be compared with the others.
Source: metrics.md section 3; the method is that of `dpprof.trace.match.clock_bounds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import WAITING, Evidence
from dpprof.runs.clocks import UNKNOWN
from dpprof.tables.columns import (
    CLOCKS,
    CONTRADICTED,
    DRIFT,
    FROM,
    MATCHED,
    RANK,
    RESIDUAL,
    SHIFT,
    empty_table,
    make_table,
)
from dpprof.trace.match.clock_bounds import MOST_DRIFT, Matrix, Points, closed, line_ends
from dpprof.trace.match.clock_evidence import Bounds

TOLERANCE_NS = 1_000
"""Old traces round times to whole microseconds."""

SHARED_TOLERANCE_NS = 1_000_000
"""Where one machine made all traces: labels of one clock are late by a turn of the scheduler."""


MOST_SLACK_NS = 10_000
"""By how much matches may contradict the best line: stamps of devices are off by microseconds."""


class Fit(NamedTuple):
    """The corrections (columns `CLOCKS`), and the groups of ranks that no line brings together.

    Of each such group the first is a rank whose clock fits none of the others in it.
    """

    clocks: pd.DataFrame
    unfit: tuple[tuple[int, ...], ...]


def fit_clocks(
    bounds: Bounds, window_ns: tuple[int, int] | None = None, tolerance_ns: int = TOLERANCE_NS
) -> Fit:
    """`estimate_clocks` of the ranks whose clocks can be compared, and those that cannot be."""
    unfit: list[tuple[int, ...]] = []
    while True:
        worst = _worst(bounds, window_ns, tolerance_ns)
        if worst is None:
            return Fit(estimate_clocks(bounds, window_ns, tolerance_ns), tuple(unfit))
        unfit.append(worst)
        kept = (bounds.waiter != worst[0]) & (bounds.source != worst[0])
        bounds = Bounds(*(column[kept] for column in bounds))


def _worst(
    bounds: Bounds, window_ns: tuple[int, int] | None, tolerance_ns: int
) -> tuple[int, ...] | None:
    """The rank that contradicts most others whatever its line, and these; None if none does."""
    wrong = bounds.most_ns < -tolerance_ns
    limit = max(tolerance_ns, MOST_SLACK_NS)
    for inside in _connected(bounds) if wrong.any() else ():
        if not (wrong & np.isin(bounds.waiter, inside)).any():
            continue
        graph = _graph(_chosen(bounds, inside), window_ns, tolerance_ns)
        if closed(graph.constant)[1] <= tolerance_ns:
            continue
        bad = graph.slacks > limit
        if not bad.any() and max(closed(lines)[1] for lines in graph.lines) > limit:
            bad = graph.contradicted  # each pair alone could be right, all together not
        if bad.any():
            worst = int(np.argmax(bad.sum(axis=1)))
            return (int(graph.ranks[worst]), *graph.ranks[bad[worst]].tolist())
    return None


def estimate_clocks(
    bounds: Bounds, window_ns: tuple[int, int] | None = None, tolerance_ns: int = TOLERANCE_NS
) -> pd.DataFrame:
    """The correction of every rank whose clock contradicts others (columns `CLOCKS`).

    `window_ns` is from when to when the residual has to hold (default: the time compared).
    Contradictions of up to `tolerance_ns` are none of the clocks' making.

    One row for each rank of a group of connected ranks in which causality is contradicted, the
    uncorrected ones included; no rows where it holds everywhere. Add ``shift_ns + drift_ppm *
    1e-6 * (t - from_ns)`` to a time `t` of the rank (`corrected`). `residual_ns` bounds what is
    still between the rank's clock and that of its group's first agreeing rank, `UNKNOWN` where
    nothing bounds it from one side.
    """
    wrong = bounds.most_ns < -tolerance_ns
    if not wrong.any():
        return empty_table(CLOCKS)
    tables = [
        _estimate(_chosen(bounds, inside), window_ns, tolerance_ns)
        for inside in _connected(bounds)
        if (wrong & np.isin(bounds.waiter, inside)).any()
    ]
    return pd.concat(tables, ignore_index=True).astype(CLOCKS)


def _chosen(bounds: Bounds, ranks: npt.NDArray[np.int64]) -> Bounds:
    chosen = np.isin(bounds.waiter, ranks)
    return Bounds(*(column[chosen] for column in bounds))


def _connected(bounds: Bounds) -> Iterator[npt.NDArray[np.int64]]:
    """The ranks of each group that operations connect."""
    ranks, codes = np.unique(np.append(bounds.waiter, bounds.source), return_inverse=True)
    one, other = np.unique(codes.reshape(2, -1), axis=1)
    label = np.arange(len(ranks))
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, one, label[other])
        np.minimum.at(lowest, other, label[one])
        if (lowest == label).all():
            break
        label = lowest
    for group in np.unique(label):
        yield ranks[label == group]


class _Graph(NamedTuple):
    """Bounds between ranks: constant ones, and those at the first and last instant of lines."""

    ranks: npt.NDArray[np.int64]
    constant: Matrix
    lines: tuple[Matrix, Matrix]
    contradicted: npt.NDArray[np.bool_]
    slacks: Matrix
    from_ns: int
    span_ns: int


def _estimate(bounds: Bounds, window_ns: tuple[int, int] | None, tolerance_ns: int) -> pd.DataFrame:
    graph = _graph(bounds, window_ns, tolerance_ns)
    constant, contradiction = closed(graph.constant)
    first, slack_first = closed(graph.lines[0])
    last, slack_last = closed(graph.lines[1])
    is_constant = contradiction <= tolerance_ns
    ends = (constant, constant) if is_constant else (first, last)
    agreeing = _agreeing(graph, ends, tolerance_ns)
    shifts = [_middle(matrix, agreeing) for matrix in ends]
    shifts = [np.where(agreeing, 0.0, shift) for shift in shifts]
    slack = max(graph.slacks.max(), slack_first, slack_last)
    seed = int(np.argmax(agreeing))
    residual = np.maximum(
        _residual(first, shifts[0], seed) + slack, _residual(last, shifts[1], seed) + slack
    )
    residual[seed] = 0
    drift = (shifts[1] - shifts[0]) / graph.span_ns * 1e6
    return make_table(
        CLOCKS,
        {
            RANK: graph.ranks,
            SHIFT: np.rint(shifts[0]).astype(np.int64),
            DRIFT: drift,
            FROM: graph.from_ns,
            RESIDUAL: np.where(np.isfinite(residual), np.ceil(residual), UNKNOWN).astype(np.int64),
            **_counts(bounds, graph.ranks, tolerance_ns),
        },
    )


def _graph(bounds: Bounds, window_ns: tuple[int, int] | None, tolerance_ns: int) -> _Graph:
    window_ns = window_ns or (bounds.at_ns.min(), bounds.at_ns.max())
    ranks = np.unique(np.append(bounds.waiter, bounds.source))
    start, span = int(window_ns[0]), int(max(window_ns[1] - window_ns[0], 1))
    size = len(ranks)
    constant = np.full((size, size), np.inf)
    lines = np.full((2, size, size), np.inf)
    contradicted = np.zeros((size, size), dtype=bool)
    waiter, source = np.searchsorted(ranks, bounds.waiter), np.searchsorted(ranks, bounds.source)
    order = np.lexsort((source, waiter))
    cuts = np.flatnonzero(np.diff(waiter[order] * size + source[order])) + 1
    points: dict[tuple[int, int], Points] = {}
    for rows in np.split(order, cuts):
        pair = int(waiter[rows[0]]), int(source[rows[0]])
        most = bounds.most_ns[rows].astype(np.float64)
        points[pair] = Points((bounds.at_ns[rows] - start) / span, most)
        constant[pair] = most.min()
        contradicted[pair] = contradicted[pair[::-1]] = (
            contradicted[pair] or most.min() < -tolerance_ns
        )
    nothing, slacks = Points(np.zeros(0), np.zeros(0)), np.zeros((size, size))
    for one, other in {tuple(sorted(pair)) for pair in points}:
        above = points.get((one, other), nothing)
        below = points.get((other, one), nothing)
        found = line_ends(above, below, MOST_DRIFT * span)
        slacks[one, other] = slacks[other, one] = found.slack
        lines[:, one, other] = found.most
        lines[:, other, one] = [-value for value in found.least]
    return _Graph(ranks, constant, (lines[0], lines[1]), contradicted, slacks, start, span)


def _agreeing(
    graph: _Graph, ends: tuple[Matrix, Matrix], tolerance_ns: int
) -> npt.NDArray[np.bool_]:
    """A large set of ranks of which no two contradict each other: their clocks are kept."""
    agree = ~graph.contradicted
    for most in ends:
        agree &= (most >= -tolerance_ns) & (-tolerance_ns <= most.T)
    order = np.argsort(-agree.sum(axis=1), kind="stable")
    chosen: list[int] = []
    for rank in order.tolist():
        if agree[rank, chosen].all():
            chosen.append(rank)
    result = np.zeros(len(graph.ranks), dtype=bool)
    result[chosen] = True
    return result


def _middle(most: Matrix, agreeing: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The middle of what the agreeing ranks, taken as one clock, allow each rank.

    Both ends of what is allowed satisfy every bound between any two ranks, so does the middle.
    Where only one end is known, the least shift that removes the contradiction is taken.
    """
    together = most.copy()
    together[np.ix_(agreeing, agreeing)] = 0.0
    together, _ = closed(together)
    seed = int(np.argmax(agreeing))
    high, low = together[seed], -together[:, seed]
    known = np.isfinite(high) & np.isfinite(low)
    middle = np.where(known, (np.where(known, high, 0) + np.where(known, low, 0)) / 2, 0.0)
    return np.where(known, middle, np.clip(0.0, low, high))


def _residual(most: Matrix, shift: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    furthest: npt.NDArray[np.float64] = np.maximum(most[seed] - shift, shift + most[:, seed])
    return np.maximum(furthest, 0.0)


def _counts(
    bounds: Bounds, ranks: npt.NDArray[np.int64], tolerance_ns: int
) -> dict[str, list[int]]:
    """How many operations each rank has with others, and how many of them are contradicted."""
    either = pd.DataFrame(
        {
            RANK: np.append(bounds.waiter, bounds.source),
            "operation": np.tile(bounds.operation, 2),
            "wrong": np.tile(bounds.most_ns < -tolerance_ns, 2),
        }
    )
    operations = either.groupby([RANK, "operation"])["wrong"].any().groupby(RANK)
    counts = operations.agg(["size", "sum"]).reindex(ranks)
    return {MATCHED: counts["size"].tolist(), CONTRADICTED: counts["sum"].tolist()}


def clock_evidence(unfit: Sequence[tuple[int, ...]], clocks: pd.DataFrame) -> list[Evidence]:
    """What cannot be said of ranks whose clocks cannot be compared, one for each group.

    Nor of those that communications bound from one side only, however they are corrected.
    """
    open_ended = clocks.loc[clocks[RESIDUAL] == UNKNOWN, RANK].tolist()
    one_sided = Evidence(
        check=CLOCKS_APART,
        found=len(open_ended),
        of=len(clocks),
        ranks=tuple(sorted(clocks[RANK].tolist())),
        touches=_TOUCHES,
        text=f"the clock of rank{'s' * (len(open_ended) > 1)} {', '.join(map(str, open_ended))} is "
        "off, and communications bound by how much from one side only: step times, bubbles and "
        "waiting are n/a; what each rank did itself stands as its own clock says (look at the time "
        "synchronisation of the hosts)",
    )
    return [one_sided] * bool(open_ended) + [
        Evidence(
            check=CLOCKS_APART,
            found=1,
            of=len(group),
            ranks=tuple(sorted(group)),
            touches=_TOUCHES,
            text=f"the clock of {_who(group)} cannot be compared: it jumps, or drifts by more than "
            f"{MOST_DRIFT * 1e6:.0f} ppm, by their matched communications; it is not corrected, "
            "and step times, bubbles and waiting are n/a for them; what each rank did itself "
            "stands as its own clock says (look at the time synchronisation of the hosts)",
        )
        for group in unfit
    ]


CLOCKS_APART = "clocks"
_TOUCHES = ("step_ns", "window_ns", "bubble_ns", "bubble_share", *WAITING, "critical_path", "ideal")


def _who(group: tuple[int, ...]) -> str:
    first, others = group[0], sorted(group[1:])
    shown = ", ".join(map(str, others[:8])) + (", ..." if len(others) > 8 else "")
    return f"rank {first} and that of rank{'s' * (len(others) > 1)} {shown}"


def clock_warnings(clocks: pd.DataFrame) -> list[str]:
    """What was corrected, in words: one for each corrected rank."""
    names = (RANK, SHIFT, DRIFT, RESIDUAL, CONTRADICTED, MATCHED)
    rows = zip(*(clocks[name].tolist() for name in names), strict=True)
    return [
        f"clock of rank {rank} shifted by {shift / 1e6:+.3f} ms, drift {drift:+.1f} ppm, "
        f"residual {_residual_text(residual)}: {wrong} of its {matched} matched communications "
        "contradicted causality"
        for rank, shift, drift, residual, wrong, matched in rows
        if shift or drift
    ]


def _residual_text(residual_ns: int) -> str:
    if residual_ns == UNKNOWN:
        return "not known (its communications bound it from one side only)"
    return f"±{residual_ns / 1e6:.3f} ms"
