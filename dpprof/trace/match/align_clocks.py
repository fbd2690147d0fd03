"""Puts the ranks of a run on one clock before they are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.evidence.evidence import Evidence
from dpprof.runs.clocks import UNKNOWN, corrected
from dpprof.tables.columns import (
    AT,
    BYTES,
    CORRELATION,
    DRIFT,
    END,
    EVENTS,
    GROUP,
    KIND,
    LANE,
    LAUNCH,
    MATCHED,
    NAME,
    RANK,
    RESIDUAL,
    SEQUENCE,
    SHIFT,
    START,
    STEP,
    empty_table,
)
from dpprof.tables.columns import CLOCKS as CLOCK_COLUMNS
from dpprof.tables.concat import concat_tables
from dpprof.tables.devices import rank_of
from dpprof.trace.match.agreement import match_sound, with_losses, without_numbers
from dpprof.trace.match.bare_order import number_by_order
from dpprof.trace.match.batched_messages import taken_apart
from dpprof.trace.match.clock_drift import drifting, jumping
from dpprof.trace.match.clock_estimate import (
    SHARED_TOLERANCE_NS,
    TOLERANCE_NS,
    Fit,
    clock_evidence,
    clock_warnings,
    estimate_clocks,
    fit_clocks,
)
from dpprof.trace.match.clock_evidence import Bounds, clock_bounds
from dpprof.trace.match.late_labels import Tolerance, are_late
from dpprof.trace.match.operations import Matched, OperationPeers, match_operations
from dpprof.trace.rank.identity import is_of_one_machine
from dpprof.trace.rank.rank_part import RankPart

_TIMES = (START, END, LAUNCH, AT)
_MOST_ROWS = 200_000  # in groups of 8, each gives 8 bounds
_MOMENTS = 1000
_LEAST_GUESSED = 4
"""Operations of a rank, matched by a guess, by which its clock may be corrected."""


class AlignedClocks(NamedTuple):
    """The ranks on one clock, the corrections made (columns `CLOCKS`), and a word on each.

    `apart` are ranks whose clock fits no other's, which is left as it is, and those whose clock is
    off by what communications bound from one side only; `evidence` says so.
    Matched operations may contradict causality by `tolerance`.
    """

    parts: list[RankPart]
    clocks: pd.DataFrame
    warnings: list[str]
    apart: frozenset[int]
    evidence: tuple[Evidence, ...]
    tolerance: Tolerance


def align_parts(parts: Sequence[RankPart], peers: OperationPeers) -> AlignedClocks:
    """Put the ranks on one clock.

    Parts whose clock needs no correction are given back as they are; where causality holds
    everywhere, that is all of them. Where all ranks were on one host and so shared its clock, only
    contradictions that the host cannot have made count.
    """
    clocks, unfit = _clocks(parts, peers)
    wrong = set(clocks.loc[(clocks["shift_ns"] != 0) | (clocks["drift_ppm"] != 0), RANK])
    aligned = [_shifted(part, clocks) if part.rank in wrong else part for part in parts]
    one_sided = clocks.loc[clocks[RESIDUAL] == UNKNOWN, RANK].tolist()
    apart = frozenset([*(group[0] for group in unfit), *one_sided])
    return AlignedClocks(
        aligned,
        clocks,
        clock_warnings(clocks),
        apart,
        tuple(clock_evidence(unfit, clocks)),
        _tolerance(parts, clocks),
    )


def _tolerance(parts: Sequence[RankPart], clocks: pd.DataFrame) -> Tolerance:
    """What may contradict causality on the common clock without anything wrong."""
    one_machine = _emulated(parts) or _share_a_clock(parts)
    tolerance = SHARED_TOLERANCE_NS if one_machine else TOLERANCE_NS
    residual = max(0, clocks[RESIDUAL].max() if len(clocks) else 0)
    return Tolerance(int(tolerance + 2 * residual), one_machine)


def shifted_as_ranks(further: Sequence[RankPart], clocks: pd.DataFrame) -> list[RankPart]:
    """Parts of further devices, with the corrections of the ranks whose process drives them."""
    shifted = []
    for part in further:
        own = clocks[clocks[RANK] == rank_of(part.rank)]
        shifted.append(_shifted(part, own.assign(**{RANK: part.rank})) if len(own) else part)
    return shifted


def _share_a_clock(parts: Sequence[RankPart]) -> bool:
    """Whether one machine is known to have made every trace.

    A host's name is believed only of spans that its threads have timed: these are late by its
    scheduling, a device's are not, and what contradicts there is another clock, whatever the
    name. Containers on several hosts may share a name.
    """
    hosts = {part.identity.host for part in parts}
    timed_by_host = all((part.communications[CORRELATION] < 0).all() for part in parts)
    return timed_by_host and len(hosts) == 1 and is_of_one_machine(hosts.pop())


def _emulated(parts: Sequence[RankPart]) -> bool:
    """Whether the emulator made every trace, which is always on one machine."""
    return all(part.identity.source == "emulated" for part in parts)


_COMPARED = {
    name: EVENTS[name]
    for name in (
        *(RANK, LANE, START, END, KIND, NAME, STEP, GROUP, BYTES, SEQUENCE, LAUNCH, CORRELATION),
    )
}
"""What clocks are estimated from; of many ranks, all columns of all communications take long."""


_NO_CLOCKS = Fit(empty_table(CLOCK_COLUMNS), ())


def _clocks(parts: Sequence[RankPart], peers: OperationPeers) -> Fit:
    if _emulated(parts) or len(parts) < 2 or not any(part.count for part in parts):
        return _NO_CLOCKS
    events = concat_tables(_COMPARED, [part.communications for part in parts])
    no_wait = np.concatenate([part.no_wait for part in parts])
    counted = np.concatenate([part.counted for part in parts])
    incomplete = np.concatenate([with_losses(part) for part in parts])
    waiting, origin = taken_apart(events[~no_wait] if no_wait.any() else events)
    waiting = without_numbers(waiting, (counted & incomplete)[~no_wait][origin])
    named = match_sound(waiting, peers, counted[~no_wait][origin])
    spans = pd.concat([part.spans for part in parts])
    window = (int(spans[START].min()), int(spans[END].max()))
    if len(named.rows):
        if not _share_a_clock(parts):
            fit = fit_clocks(tightest_bounds(waiting, named, window), window)
            guessed = np.isin(named.rows, np.flatnonzero(counted[~no_wait][origin]))
            fit = _without_guessed(fit) if guessed.all() else fit
            return _with_drifting(fit, waiting, named)
        bounds = without_late(clock_bounds(waiting, named), SHARED_TOLERANCE_NS)
        return fit_clocks(bounds, window, SHARED_TOLERANCE_NS)
    order = number_by_order(events, peers, no_wait | incomplete)
    found = order.number >= 0
    if not found.any():
        return _NO_CLOCKS
    bare = events[found].assign(**{SEQUENCE: order.number[found]})
    bare[GROUP] = pd.Categorical(order.group[found])
    return _if_explained(bare, peers, window)


def _without_guessed(fit: Fit) -> Fit:
    """The fit, or none where it moves clocks by few operations that order alone has matched."""
    moved = (fit.clocks[SHIFT] != 0) | (fit.clocks[DRIFT] != 0)
    few = fit.clocks.loc[moved & (fit.clocks[MATCHED] < _LEAST_GUESSED), RANK].tolist()
    if not few:
        return fit
    others = [rank for rank in fit.clocks[RANK].tolist() if rank not in few]
    return Fit(_NO_CLOCKS.clocks, (*fit.unfit, *((rank, *others) for rank in few)))


def _with_drifting(fit: Fit, events: pd.DataFrame, matched: Matched) -> Fit:
    """The fit, or none for the ranks whose clocks drift or jump as causality alone cannot show."""
    if fit.unfit:
        return fit
    if fit.clocks.empty:
        return Fit(fit.clocks, drifting(events, matched))
    shifts = dict(zip(fit.clocks[RANK].tolist(), fit.clocks[SHIFT].tolist(), strict=True))
    jumps = jumping(events, matched, shifts)
    return Fit(_NO_CLOCKS.clocks, jumps) if jumps else fit


def tightest_bounds(
    events: pd.DataFrame, matched: Matched, window: tuple[int, int], most: int = _MOST_ROWS
) -> Bounds:
    """`clock_bounds`; of more than `most` rows only the tightest of each pair of ranks and moment.

    All bounds of a big run would not fit in memory, and others say nothing more: clocks drift by
    less than a microsecond in a thousandth of a window of seconds.
    """
    if len(matched.rows) <= most:
        return clock_bounds(events, matched)
    order = np.argsort(matched.operation, kind="stable")
    rows, operation = matched.rows[order], matched.operation[order]
    starts = np.flatnonzero(np.diff(operation, prepend=-1))  # of operations: none is cut in two
    firsts = np.unique(np.searchsorted(starts, np.arange(0, len(rows), most)))
    limits = [*starts[firsts[firsts < len(starts)]].tolist(), len(rows)]
    parts = [
        _tightest(clock_bounds(events, Matched(rows[low:high], operation[low:high])), window)
        for low, high in pairwise(limits)
    ]
    return _tightest(Bounds(*map(np.concatenate, zip(*parts, strict=True))), window)


def _tightest(bounds: Bounds, window: tuple[int, int]) -> Bounds:
    moment = (bounds.at_ns - window[0]) * _MOMENTS // max(1, window[1] - window[0])
    order = np.lexsort((bounds.most_ns, moment, bounds.source, bounds.waiter))
    keys = np.stack([bounds.waiter[order], bounds.source[order], moment[order]])
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(keys) != 0).any(axis=0)
    chosen = order[first]
    return Bounds(*(column[chosen] for column in bounds))


def without_late(bounds: Bounds, tolerance_ns: int) -> Bounds:
    """The bounds without contradictions that late labels explain: few of a pair of ranks."""
    wrong = bounds.most_ns < -tolerance_ns
    if not wrong.any():
        return bounds
    most = int(max(bounds.waiter.max(), bounds.source.max())) + 1
    kept = ~are_late(wrong, bounds.waiter * most + bounds.source)
    return Bounds(*(column[kept] for column in bounds))


def _if_explained(bare: pd.DataFrame, peers: OperationPeers, window: tuple[int, int]) -> Fit:
    """Order is a guess: clocks are corrected by it only if nothing contradicts it any more.

    Nor by few operations: a shift explains one of them, whatever it is.
    """
    matched = match_operations(bare, peers)
    if apart := drifting(bare, matched):
        return Fit(_NO_CLOCKS.clocks, apart)
    clocks = estimate_clocks(clock_bounds(bare, matched), window)
    moved = (clocks[SHIFT] != 0) | (clocks[DRIFT] != 0)
    if (clocks.loc[moved, MATCHED] < _LEAST_GUESSED).any():
        return _NO_CLOCKS
    again = estimate_clocks(clock_bounds(_on_common_clock(bare, clocks), matched))
    return Fit(clocks, ()) if again.empty else _NO_CLOCKS


def _shifted(part: RankPart, clocks: pd.DataFrame) -> RankPart:
    own = clocks[clocks[RANK] == part.rank]
    return replace(
        part,
        communications=_on_common_clock(part.communications, own),
        spans=_on_common_clock(part.spans, own),
        slots=_on_common_clock(part.slots, own),
        memory=_on_common_clock(part.memory, own),
        steps=_on_common_clock(part.steps, own),
        host_spans=_on_common_clock(part.host_spans, own),
        load=_Shifted(part.load, own),
    )


@dataclass(frozen=True)
class _Shifted:
    """Loads a rank's events onto the common clock; can be passed to another process."""

    load: Callable[[], pd.DataFrame]
    clocks: pd.DataFrame

    def __call__(self) -> pd.DataFrame:
        return _on_common_clock(self.load(), self.clocks)


def _on_common_clock(table: pd.DataFrame, clocks: pd.DataFrame) -> pd.DataFrame:
    ranks = table[RANK].to_numpy()
    times = {
        name: corrected(table[name].to_numpy(np.int64), ranks, clocks)
        for name in _TIMES
        if name in table
    }
    return table.assign(**times)
