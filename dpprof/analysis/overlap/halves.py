"""Send and receive halves of low-latency all-to-alls: what computing between them may hide.

With a hook, DeepEP's low-latency ``dispatch`` and ``combine`` are two kernels of one name: the
first sends and returns, the second, launched when the hook is called, waits for what comes in
(deepseek-ai/DeepEP, ``low_latency_dispatch(..., return_recv_hook=True)``). The transfer goes on
without any kernel in between, so no overlap of kernels shows it. What computes between the halves
*may* hide it; how much of that time the transfer took, no trace tells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.observations import HalvesFigures
from dpprof.runs.run import Run
from dpprof.tables.columns import END, KIND, LANE, NAME, RANK, START, STEP
from dpprof.tables.intervals import Intervals, length_before, make_intervals, union
from dpprof.tables.kinds import COMPUTE, FUSED

_TOLD_APART = 0.1
"""Part of a kernel's length by which the halves must differ to be told apart."""
_FEWEST = 4
"""Kernels of a kind on a lane with which halves can be told apart."""
_LOW_LATENCY = re.compile(r"internode_ll::(dispatch|combine)\b")


def halves_figures(run: Run) -> list[HalvesFigures]:
    """One row per rank and kind whose low-latency kernels are halves; empty where none are."""
    transfers = run.held.communications
    names = transfers[NAME].astype("category").cat
    known = [name for name in names.categories if _LOW_LATENCY.search(str(name))]
    used = transfers[STEP].isin(run.used_steps) & transfers[NAME].isin(known)
    rows: list[HalvesFigures] = []
    for rank in sorted(set(transfers.loc[used, RANK].tolist())):
        rows += _of_rank(run.held.of_rank(rank), run.used_steps, known)
    return rows


def _of_rank(events: pd.DataFrame, steps: Collection[int], known: list[str]) -> list[HalvesFigures]:
    own = events[events[STEP].isin(steps)]
    own = own.assign(**{NAME: own[NAME].astype(str)})
    chosen = own[own[NAME].isin(known)]
    if not _are_halves(own, chosen):
        return []
    computing = own[own[KIND].astype(str).isin([COMPUTE, FUSED])]
    busy = union(make_intervals(computing[START], computing[END]))
    return list(_rows(int(own[RANK].iloc[0]), chosen, busy))


def _are_halves(own: pd.DataFrame, chosen: pd.DataFrame) -> bool:
    """Whether a layer's other kernels are there once for every two of these.

    A whole dispatch stands beside each layer's routing and experts; of halves there are twice as
    many. So: every kind comes an even number of times, and more kinds of computing kernels come
    half as often as these than as often. And where both kinds run, a dispatch's two kernels come
    before the combine's two: whole calls take turns one by one.
    """
    kinds = chosen[KIND].astype(str)
    counts = set(kinds.groupby(kinds).size())
    if len(counts) != 1 or (count := counts.pop()) % 2:
        return False
    if not _come_in_twos(chosen):
        return False
    computing = own.loc[own[KIND].astype(str) == COMPUTE, NAME]
    often = Counter(Counter(computing).values())
    return often[count // 2] > often[count]


def _come_in_twos(chosen: pd.DataFrame) -> bool:
    """Whether kinds change only after an even number of kernels, one after another."""
    kinds = chosen.sort_values(START, kind="stable")[KIND].astype(str)
    return all(len(list(run)) % 2 == 0 for _, run in groupby(kinds))


def _rows(rank: int, chosen: pd.DataFrame, busy: Intervals) -> Iterator[HalvesFigures]:
    for kind, kernels in chosen.groupby(chosen[KIND].astype(str)):
        pairs = [_paired(lane) for _, lane in kernels.groupby(kernels[LANE].astype(str))]
        if any(pair is None for pair in pairs):
            continue
        sends, receives = (
            pd.concat(halves) for halves in zip(*(pair for pair in pairs if pair), strict=True)
        )
        sent = sends[END].to_numpy(np.int64)
        begun = np.maximum(receives[START].to_numpy(np.int64), sent)
        inside = length_before(busy, begun) - length_before(busy, sent)
        yield HalvesFigures(
            rank=rank,
            kind=str(kind),
            calls=len(sends),
            send_ns=int((sends[END] - sends[START]).sum()),
            receive_ns=int((receives[END] - receives[START]).sum()),
            between_ns=int((begun - sent).sum()),
            possible_ns=int(inside.sum()),
        )


def _paired(lane: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Send and receive halves of a lane; None where nothing tells them apart.

    Halves of one kind take turns, or, with two calls under way, come two by two. What they are is
    told by their lengths, which are like each other's among sends and among receives.
    """
    ordered = lane.sort_values(START, kind="stable")
    places = np.arange(len(ordered))
    lengths = (ordered[END] - ordered[START]).to_numpy(np.float64)
    if len(places) < _FEWEST or len(places) % 2:
        return None
    orders = [places % 2 == 0] + [places % 4 < 2] * (len(places) % 4 == 0)
    apart = [abs(_median(lengths[one]) - _median(lengths[~one])) for one in orders]
    if max(apart) < _TOLD_APART * _median(lengths):
        return None
    sends = orders[apart.index(max(apart))]
    return ordered.iloc[places[sends]], ordered.iloc[places[~sends]]


def _median(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values))
