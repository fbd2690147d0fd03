"""Who changed: the ranks, kinds and causes behind a regression, from the figures of every rank.

A rank's own time (computing, exposed communication, late launches, copies) is told apart from
its waiting for others: who only waits longer is a victim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from dpprof.analysis.metrics import COMPUTING
from dpprof.gate.evaluate import lookup
from dpprof.gate.names import MEMORY, RANK_FIGURES
from dpprof.gate.result import Cause, GateFinding, LargestBubble
from dpprof.gate.snapshot import FigureSnapshot, sampling
from dpprof.gate.split import incomparable
from dpprof.statistics.difference import Difference, difference
from dpprof.statistics.figure import Figure
from dpprof.tables.kinds import (
    BUBBLE_COOLDOWN,
    BUBBLE_DEPENDENCY,
    BUBBLE_HOST,
    BUBBLE_OTHER,
    BUBBLE_STATES,
    BUBBLE_STRAGGLER,
    BUBBLE_WARMUP,
    COMMUNICATION_KINDS,
    COMPUTE,
)

_CHANCE = 0.001
_CHANCE_BESIDE = 0.1
"""Of a change on a rank: that it is none, where nobody else shows it, and where others do."""
_LEAST_OF_STEP = 0.003
_LEAST_OF_BYTES = 0.01
_CARRIES = {"ns": 0.3, "bytes": 0.05}
"""A rank carries a change if it has at least this part of what the worst rank has."""
_WORTH = 0.25
"""A finding is worth telling if its ranks have at least this part of what the largest has."""
_MOST_FINDINGS = 3
_SHIFTING = 0.25

_WAITING = (BUBBLE_WARMUP, BUBBLE_COOLDOWN, BUBBLE_DEPENDENCY, BUBBLE_STRAGGLER)


class _OwnFigure(NamedTuple):
    """A figure that is a rank's own doing."""

    metric: str
    kind: str
    cause: Cause


_OWN_TIMES = (
    _OwnFigure(COMPUTING, COMPUTE, "computes_longer"),
    *(_OwnFigure(f"exposed.{kind}_ns", kind, "less_hidden") for kind in COMMUNICATION_KINDS),
    _OwnFigure(f"{BUBBLE_HOST}_ns", "host", "host_late"),
    _OwnFigure("memory_ns", "memory", "copies_longer"),
    _OwnFigure(f"{BUBBLE_OTHER}_ns", "idle", "idles"),
)
_MEMORY_PEAK = _OwnFigure(MEMORY[0], "memory", "holds_more")


@dataclass(frozen=True)
class ComparedSides:
    """A run and its baseline, which have these ranks in common; `run_spread` as for a gate."""

    run: FigureSnapshot
    baseline: FigureSnapshot
    run_spread: float | None = None

    @property
    def ranks(self) -> list[int]:
        """Ranks of both."""
        known = {place.rank for place in self.baseline.places}
        return [place.rank for place in self.run.places if place.rank in known]

    def difference(self, metric: str, rank: int) -> Difference | None:
        """Of a figure of a rank; None where a side does not know it."""
        own = lookup(self.run, metric, rank, "rank")
        other = lookup(self.baseline, metric, rank, "rank")
        if isinstance(own, str) or isinstance(other, str):
            return None
        if incomparable(self.run, self.baseline, metric, rank) is not None:
            return None
        unit = RANK_FIGURES[metric]
        return difference(
            own,
            sampling(self.run, unit, own.typical, self.run_spread),
            other,
            sampling(self.baseline, unit, other.typical, self.run_spread),
        )

    def stages(self, ranks: Sequence[int]) -> list[int]:
        """The stages that these ranks hold."""
        held = (stage for place in self.run.places if place.rank in ranks for stage in place.stages)
        return sorted(set(held))


def find_culprits(sides: ComparedSides, *, times: bool, memory: bool) -> list[GateFinding]:
    """What got worse, largest first: of times, of memory, or of both."""
    found = [finding for own in _OWN_TIMES for finding in _finding(sides, own)] if times else []
    if times and not found:
        found = list(_waits(sides))
    found.sort(key=_weight, reverse=True)
    worth = [one for one in found if _weight(one) >= _WORTH * _weight(found[0])]
    peaks = list(_finding(sides, _MEMORY_PEAK)) if memory else []
    return worth[:_MOST_FINDINGS] + peaks


def _weight(finding: GateFinding) -> float:
    """Time over all ranks; messages less, whose exposure shifts with whatever else changes."""
    return finding.change * len(finding.ranks) * (_SHIFTING if finding.kind == "p2p" else 1)


def _finding(sides: ComparedSides, own: _OwnFigure) -> Iterator[GateFinding]:
    """At most one: the ranks that carry the change of one figure."""
    grown = _grown(sides, own.metric)
    if not grown:
        return
    least = _CARRIES[RANK_FIGURES[own.metric]] * _largest(grown)
    ranks = [rank for rank in grown if grown[rank].change >= least]
    change = sum(grown[rank].change for rank in ranks) / len(ranks)
    before = sum(grown[rank].reference for rank in ranks) / len(ranks)
    affected_ranks = _affected(sides, ranks) if own is not _MEMORY_PEAK else {}
    cause, hidden = _communication_cause(sides, own, ranks, change)
    yield GateFinding(
        ranks=ranks,
        stages=sides.stages(ranks),
        kind=own.kind,
        cause=cause,
        metric=own.metric,
        unit=RANK_FIGURES[own.metric],
        change=change,
        relative=change / before if before else None,
        affected_ranks=list(affected_ranks),
        affected_wait_ns=sum(affected_ranks.values()) / max(len(affected_ranks), 1),
        hidden_share=hidden,
        part=_part(sides, ranks) if own is _MEMORY_PEAK else None,
    )


def _largest(grown: dict[int, Difference]) -> float:
    return max(one.change for one in grown.values())


def _grown(sides: ComparedSides, metric: str) -> dict[int, Difference]:
    """Rank -> difference, where it grew by something that is worth a word and no accident.

    What is sure on one rank is believed of others that are less sure.
    """
    grown = {}
    for rank in sides.ranks:
        found = sides.difference(metric, rank)
        if found is not None and found.change >= max(1, _least(sides, metric, found)):
            grown[rank] = found
    chances = {rank: found.chance or 0.0 for rank, found in grown.items()}
    if min(chances.values(), default=1.0) >= _CHANCE:
        return {}
    return {rank: found for rank, found in grown.items() if chances[rank] < _CHANCE_BESIDE}


def _least(sides: ComparedSides, metric: str, found: Difference) -> float:
    if RANK_FIGURES[metric] == "bytes":
        return max(1.0, _LEAST_OF_BYTES * found.reference)
    return _LEAST_OF_STEP * sides.baseline.job["step_ns"].typical


def _affected(sides: ComparedSides, culprits: Sequence[int]) -> dict[int, float]:
    """Other ranks that wait longer, and how much longer."""
    least = _LEAST_OF_STEP * sides.baseline.job["step_ns"].typical
    waits = {
        rank: sum(_change(sides, f"{state}_ns", rank) for state in _WAITING)
        for rank in sides.ranks
        if rank not in culprits
    }
    return {rank: longer for rank, longer in waits.items() if longer > least}


def _change(sides: ComparedSides, metric: str, rank: int) -> float:
    found = sides.difference(metric, rank)
    return 0.0 if found is None else found.change


def _communication_cause(
    sides: ComparedSides, own: _OwnFigure, ranks: Sequence[int], change: float
) -> tuple[Cause, tuple[float, float] | None]:
    """Whether exposed communication takes longer, or is hidden less."""
    if own.kind not in COMMUNICATION_KINDS:
        return own.cause, None
    total = f"{own.kind}.total_ns"
    longer = sum(_change(sides, total, rank) for rank in ranks) / len(ranks)
    hidden = tuple(_mean_hidden(side, own.kind, ranks) for side in (sides.baseline, sides.run))
    cause: Cause = "transfers_longer" if longer >= change / 2 else "less_hidden"
    return cause, (hidden[0], hidden[1])


def _mean_hidden(side: FigureSnapshot, kind: str, ranks: Sequence[int]) -> float:
    sums = {
        name: sum(_value(lookup(side, f"{kind}.{name}_ns", rank, "rank")) for rank in ranks)
        for name in ("hidden", "total")
    }
    return sums["hidden"] / sums["total"] if sums["total"] else 0.0


def _value(figure: Figure | str) -> float:
    return 0.0 if isinstance(figure, str) else figure.mean


def _part(sides: ComparedSides, ranks: Sequence[int]) -> str | None:
    """What of the memory grew most, the largest part or all of it."""
    grown = {
        name: sum(_change(sides, name, rank) for rank in ranks)
        for name in MEMORY
        if not name.startswith("peak")
    }
    most = max(grown, key=lambda name: grown[name])
    return most.removesuffix("_bytes") if grown[most] > 0 else None


def _waits(sides: ComparedSides) -> Iterator[GateFinding]:
    """Where nobody's own time grew: who waits longer, and the rank that most of it is for."""
    affected_ranks = _affected(sides, [])
    if not affected_ranks:
        return
    ranks = list(affected_ranks)
    change = sum(affected_ranks.values()) / len(affected_ranks)
    before = sum(_bubble(sides.baseline, rank) for rank in ranks) / len(ranks)
    yield GateFinding(
        ranks=ranks,
        stages=sides.stages(ranks),
        kind="bubble",
        cause="waits",
        metric="bubble_ns",
        unit="ns",
        change=change,
        relative=change / before if before else None,
        waits_for=_most_awaited(sides, ranks),
    )


def _most_awaited(sides: ComparedSides, ranks: Sequence[int]) -> int | None:
    """The rank for which these wait longer than in the baseline, most of all; None: for none."""
    longer: Counter[int] = Counter()
    for side, sign in ((sides.run, 1), (sides.baseline, -1)):
        for one in side.waits:
            longer[one.waits_for] += sign * one.bubble_ns * (one.rank in ranks)
    most, time = max(longer.items(), key=itemgetter(1), default=(None, 0))
    return most if time > 0 else None


def _bubble(side: FigureSnapshot, rank: int) -> float:
    return _value(lookup(side, "bubble_ns", rank, "rank"))


def largest_bubble(run: FigureSnapshot) -> LargestBubble | None:
    """The rank that idles most, the largest state of its bubble, and the rank it waits for."""
    bubbles = {place.rank: _bubble(run, place.rank) for place in run.places}
    rank = max(bubbles, key=lambda one: bubbles[one])
    states = {state: _value(lookup(run, f"{state}_ns", rank, "rank")) for state in BUBBLE_STATES}
    state = max(states, key=lambda one: states[one])
    if not states[state]:
        return None
    waits = [one for one in run.waits if one.rank == rank]
    longest = max(waits, key=lambda one: one.bubble_ns, default=None)
    return LargestBubble(
        rank=rank,
        stages=next(place.stages for place in run.places if place.rank == rank),
        bubble_ns=bubbles[rank],
        state=state,
        state_ns=states[state],
        waits_for=None if longest is None else longest.waits_for,
        waits_for_ns=0 if longest is None else longest.bubble_ns,
    )
