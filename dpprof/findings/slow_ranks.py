"""Ranks whose slots take longer than those of their peers, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.observations import SLOW_RANK
from dpprof.findings.change import GAP_KNOB, SLOWER, Change
from dpprof.findings.replay import Replay, shortened
from dpprof.runs.run import Run
from dpprof.schedules.actions import slot_operation
from dpprof.tables.columns import COMPONENT, END, EVENTS, OPERATION, PART, RANK, READY, START, STEP
from dpprof.tables.concat import concat_tables

_KNOB = (
    "its clocks and temperature (nvidia-smi -q -d PERFORMANCE), its share of the layers (Megatron "
    "--decoder-first-pipeline-num-layers, torchtitan module_fqns_per_model_part), of experts' load"
)

_Ratios = dict[str, float]
"""How many times as long as on its peers the slots of an operation take on a rank."""
_ByStep = npt.NDArray[np.float64]
"""A figure of each step, or of each step and slot."""


def slow_ranks(replay: Replay) -> Iterator[Change]:
    """Ranks that take longer than the median of the others, for slower components or for gaps.

    Compared are slots, or where not all ranks run the same components, only the components that
    are slower: a rank that has more to do is not slow.
    """
    typical = _typical(replay)
    alike = replay.models.alike or not replay.costs.component_ns
    medians = _component_medians(replay.run)
    for rank in range(int(replay.pp_rank.max()) + 1):
        parts = _slow_components(medians, rank)
        slow, lengths = (
            _like_peers(replay, rank, typical) if alike else _without(replay, rank, parts)
        )
        gaps = bool(slow) and alike and _idles(replay, rank, lengths)
        if not slow or (not parts and not gaps):
            continue
        worst = max(slow, key=lambda operation: slow[operation])
        names = ", ".join(f"{name} x{value:.2f}" for name, value in parts.items())
        why = "nothing runs in most of it" if gaps else f"slower are {names}"
        yield Change(
            "gaps in slots" if gaps else SLOW_RANK,
            f"slots of pipeline rank {rank} take up to x{slow[worst]:.2f} the time of those of its "
            f"peers (most in {worst}; {why}): if they did not",
            GAP_KNOB if gaps else _KNOB,
            (rank,),
            tuple(sorted(slow)),
            length_ns=lengths.round().astype(np.int64),
        )


def _like_peers(
    replay: Replay, rank: int, typical: dict[str, dict[int, _ByStep]]
) -> tuple[_Ratios, _ByStep]:
    """What is slow, and all lengths with the rank's slots as long as those of the median rank.

    Step by step: in a step in which the rank is no slower its slots stay as they are.
    """
    lengths = replay.length_ns.astype(float)
    slow: _Ratios = {}
    for operation, ranks in typical.items():
        if rank not in ranks or len(ranks) <= 2:
            continue
        peers = np.median([ns for other, ns in ranks.items() if other != rank], axis=0)
        ratio = ranks[rank] / np.maximum(peers, 1)
        if np.median(ratio) > SLOWER and peers.all():
            slow[operation] = float(np.median(ratio))
            chosen = (replay.pp_rank == rank) & (replay.operation == operation)
            lengths[:, chosen] /= np.maximum(ratio, 1)[:, np.newaxis]
    return slow, lengths


def _without(replay: Replay, rank: int, slower: _Ratios) -> tuple[_Ratios, _ByStep]:
    """The same with the rank's components as fast as elsewhere, by the model of its slots."""
    lengths = replay.length_ns.astype(float)
    slow: _Ratios = {}
    for own, slot, places in replay.kinds():
        now = replay.models.as_run(own, slot, {}) if own == rank and slower else None
        then = replay.models.as_run(own, slot, slower) if now else None
        if now and then and now > SLOWER * then:
            operation = slot_operation(slot)
            slow[operation] = max(slow.get(operation, 1.0), now / then)
            lengths[:, places] = shortened(lengths[:, places], then / now)
    return slow, lengths


def _idles(replay: Replay, pp_rank: int, without: _ByStep) -> bool:
    """Whether nothing runs in at least half of the time that slots of the rank take too much."""
    own = replay.pp_rank == pp_rank
    more = replay.length_ns[:, own].sum() - without[:, own].sum()
    peers = replay.idle_ns[:, ~own] / np.maximum(replay.length_ns[:, ~own], 1)
    usual = float(np.median(peers)) * replay.length_ns[:, own].sum()
    return bool(replay.idle_ns[:, own].sum() - usual >= more / 2)


_LABELLED = {name: EVENTS[name] for name in (RANK, START, END, READY, PART, COMPONENT, OPERATION)}


def _component_medians(run: Run) -> pd.DataFrame:
    """What the rows of a component take on each pipeline rank, the median, as `ns`."""
    parts = (run.held.of_rank(rank) for rank in run.pp_rank)
    labelled = [
        part[part[STEP].isin(run.used_steps) & (part[COMPONENT] != "")][list(_LABELLED)]
        for part in parts
    ]
    events = concat_tables(_LABELLED, labelled)
    ranks = events[RANK].map(run.pp_rank)
    begin = events[[START, READY]].max(axis=1)  # waiting for peers is no work
    spans = (events[END] - begin).groupby(
        [ranks, events[PART].astype(str), events[COMPONENT].astype(str), events[OPERATION]],
        observed=True,
    )
    keys = ["pp_rank", "part", "name", "operation"]
    return spans.median().rename_axis(keys).reset_index(name="ns")


def _slow_components(medians: pd.DataFrame, pp_rank: int) -> dict[str, float]:
    """Components whose median on the rank is above that of the other ranks, and how much."""
    own = medians[medians["pp_rank"] == pp_rank].set_index(["part", "name", "operation"])["ns"]
    others = medians[medians["pp_rank"] != pp_rank]
    peers = others.groupby(["part", "name", "operation"], observed=True)["ns"].median()
    ratio = (own / peers).dropna()
    slow = ratio[ratio > SLOWER].groupby("name").max()
    return {str(name): float(value) for name, value in slow.items()}


def _typical(replay: Replay) -> dict[str, dict[int, _ByStep]]:
    """operation -> pipeline rank -> median length of its slots in each step."""
    table: dict[str, dict[int, _ByStep]] = {}
    for rank in range(int(replay.pp_rank.max()) + 1):
        for operation in np.unique(replay.operation[replay.pp_rank == rank]):
            slots = (replay.pp_rank == rank) & (replay.operation == operation)
            median = np.median(replay.length_ns[:, slots], axis=1)
            table.setdefault(str(operation), {})[rank] = median
    return table
