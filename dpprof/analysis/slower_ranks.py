"""Pipeline ranks that compute clearly more than the others in every step, and what that costs.

A slower rank need have no fault: the last stage may hold the output layer, the first the embedding.
A slot or a step that is slow once, and times that scatter, name no rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from dpprof.analysis.observations import Ideal, SlowerRank
from dpprof.runs.run import Run
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_measured
from dpprof.tables.columns import OPERATION, RANK, SLOT, STEP

_SHARE = 0.05
"""Of what the others compute: a rank that computes less more than they is not named."""
_ERRORS = 3
"""Standard errors of its medians by which a rank must be above the others."""
_STEADY = 0.25
"""Share of the steps in which a slower rank may be none."""
_PP_RANK = "pp_rank"
_COMPUTE = "compute"


@dataclass(frozen=True)
class _RankWork:
    """What pipeline ranks compute in a step, in ns; slots count by the median of their kind.

    `by_part` has a row per rank and a column per operation, or one column where the ranks run
    other numbers of slots of an operation. `each` is what one slot of an operation computes,
    `errors` the standard errors of a rank's sum, `by_step` the sums of every step (rows).
    """

    by_part: pd.DataFrame
    each: pd.DataFrame
    errors: pd.Series
    by_step: pd.DataFrame


def slower_ranks(
    run: Run, slots: Mapping[int, pd.DataFrame], ideal: Ideal | None
) -> list[SlowerRank]:
    """The slower pipeline ranks, the slowest first; `slots` is what `slot_lengths` gives.

    A rank is slower where what it computes in its slots is at least 5 % above the median of the
    other ranks, by more than the middle half of them lies apart, by three standard errors, and
    in three quarters of the steps. Without an ideal, whose schedule is timed again with the rank
    as fast as the others, there are none.
    """
    if ideal is None or run.schedule is None or run.schedule.pp < 2 or not slots:
        return []
    work = _work(run, slots)
    found = [one for rank in work.by_part.index for one in _found(run, ideal, work, rank)]
    return sorted(found, key=lambda one: -one.excess_ns)


def _work(run: Run, slots: Mapping[int, pd.DataFrame]) -> _RankWork:
    known = {rank: table for rank, table in slots.items() if rank in run.pp_rank}
    rows = pd.concat(
        [table.assign(**{RANK: rank, _PP_RANK: run.pp_rank[rank]}) for rank, table in known.items()]
    )
    kind = rows[SLOT].str.replace(r"\.\d+", "", regex=True)
    rows = rows.assign(**{SLOT: kind, OPERATION: kind.str.replace(r"\d+", "", regex=True)})
    windows = rows.drop_duplicates([RANK, STEP]).groupby(_PP_RANK).size()
    kinds = rows.groupby([_PP_RANK, OPERATION, SLOT])[_COMPUTE]
    size, apart = kinds.size(), kinds.quantile(0.75) - kinds.quantile(0.25)
    count = size.div(windows, level=_PP_RANK)
    by_operation = [_PP_RANK, OPERATION]
    operations = (kinds.median() * count).groupby(by_operation).sum().unstack(fill_value=0)
    counts = count.groupby(by_operation).sum().unstack(fill_value=0)
    alike = bool((counts == counts.iloc[0]).to_numpy().all())
    per_step = rows.groupby([STEP, _PP_RANK, OPERATION, SLOT])[_COMPUTE].median() * count
    return _RankWork(
        by_part=operations if alike else operations.sum(axis=1).to_frame(""),
        each=operations / counts.where(counts > 0, 1.0),
        errors=(apart / size**0.5 * count).groupby(level=_PP_RANK).sum(),
        by_step=per_step.groupby([STEP, _PP_RANK]).sum().unstack(),
    )


def _found(run: Run, ideal: Ideal, work: _RankWork, rank: int) -> Iterator[SlowerRank]:
    """The rank, where it is slower."""
    peers = work.by_part.drop(index=rank)
    usual, own = _plain(peers.median()), _plain(work.by_part.T[rank])
    excess = {part: ns - usual[part] for part, ns in own.items()}
    total, others_ns = sum(excess.values()), sum(usual.values())
    sums = peers.sum(axis=1)
    least = _SHARE * others_ns
    apart = sums.quantile(0.75) - sums.quantile(0.25)
    steps = work.by_step[rank] - work.by_step.drop(columns=rank).median(axis=1)
    steady = steps.quantile(_STEADY, interpolation="lower")
    if total <= 0 or min(total, steady) < least or total <= max(apart, _ERRORS * work.errors[rank]):
        return
    assert run.schedule is not None
    shares = {part: ns / own[part] for part, ns in excess.items() if own[part]}
    yield SlowerRank(
        pp_rank=rank,
        stages=sorted(set(run.schedule.placement.stages[rank])),
        compute_ns=round(sum(own.values())),
        others_ns=round(others_ns),
        excess_ns=round(total),
        excess_by_operation_ns={part: round(ns) for part, ns in excess.items() if part},
        cost_ns=_cost_ns(run, ideal, rank, _plain(work.each.T[rank]), shares),
    )


def _cost_ns(
    run: Run, ideal: Ideal, rank: int, each: Mapping[str, float], shares: Mapping[str, float]
) -> int:
    """How much shorter the ideal step is where the rank's slots compute so much less."""
    assert run.schedule is not None
    chunks = {(at, name): ns for at, own in enumerate(ideal.chunk_ns) for name, ns in own.items()}
    for name, ns in each.items():
        if (rank, name) in chunks:
            chunks[rank, name] -= round(ns * shares.get(name, shares.get("", 0.0)))
    step = simulate(run.schedule, timing_from_measured(chunks))
    return max(0, round(ideal.window_ns / ideal.steps) - step.makespan_ns)


def _plain(values: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
