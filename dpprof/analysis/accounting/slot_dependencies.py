"""What each schedule slot of a run had to wait for on other ranks, from schedule and slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.events.pipeline_messages import message_name, received_ns
from dpprof.analysis.events.slot_names import read_slot
from dpprof.runs.run import Run
from dpprof.schedules.schedule import DependencyRule
from dpprof.tables.columns import END, RANK, SLOT, START, STEP


@dataclass(frozen=True)
class Needs:
    """The slots of one rank in one step, in order of start, and what each needed from others.

    ``arrival_ns[i]`` is when the last input of slot i had been made (and, where its message is in
    the trace, could be sent): 0 where it needs nothing from others. It is made by action
    ``producers[i]`` on rank ``producer_ranks[i]``. ``known[i]`` is False where the schedule or a
    producer's trace is not at hand, so that nothing can be said.
    """

    texts: npt.NDArray[np.object_]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    arrival_ns: npt.NDArray[np.int64]
    producer_ranks: npt.NDArray[np.int32]
    producers: npt.NDArray[np.object_]
    known: npt.NDArray[np.bool_]


NO_NEEDS = Needs(
    np.empty(0, dtype=object),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=object),
    np.empty(0, dtype=bool),
)

_Place = tuple[int, int]  # rank, step
_Sources = tuple[tuple[int, str], ...]


def slot_needs(run: Run) -> dict[tuple[int, int], Needs]:
    """(rank, step) -> `Needs` of its slots; pairs without slots are left out."""
    used = run.slots[run.slots[STEP].isin(run.used_steps)]
    used = used.sort_values([STEP, RANK, START], kind="stable")
    groups = {
        (int(rank), int(step)): rows  # type: ignore[call-overload]
        for (step, rank), rows in used.groupby([STEP, RANK])
    }
    lookup = _Lookup.build(run, groups)
    return {place: _needs(rows, place, lookup) for place, rows in groups.items()}


@dataclass(frozen=True)
class _Lookup:
    """Where to find what a slot needs."""

    rule: DependencyRule | None
    pp_rank: dict[int, int]
    twin: dict[tuple[int, int], int]  # (pp_rank, number among its equals) -> global rank
    number: dict[int, int]  # global rank -> its number among the ranks of its pp_rank
    made_ns: dict[tuple[int, int, str], int]  # (rank, step, action) -> end of its slot
    received_ns: dict[tuple[int, int, str], int]  # (rank, step, message) -> ready
    known: dict[tuple[int, str], _Sources | None] = field(default_factory=dict)

    def sources(self, pp_rank: int, text: str) -> _Sources | None:
        """Pipeline rank and action of what a slot needs from others, the same in every step.

        None for a slot that a training loop has named in its own way.
        """
        key = pp_rank, text
        if key not in self.known:
            self.known[key] = self._find_sources(pp_rank, text)
        return self.known[key]

    def _find_sources(self, pp_rank: int, text: str) -> _Sources | None:
        slot = read_slot(text)
        if slot is None or self.rule is None:
            return None
        found = (self.rule.upstream(pp_rank, action) for action in slot)
        return tuple(
            (source.pp_rank, str(source.action))
            for source in found
            if source is not None and source.pp_rank != pp_rank
        )

    @classmethod
    def build(cls, run: Run, groups: dict[_Place, pd.DataFrame]) -> _Lookup:
        by_pp_rank: dict[int, list[int]] = defaultdict(list)
        for rank, pp_rank in sorted(run.pp_rank.items()):
            by_pp_rank[pp_rank].append(rank)
        twin = {
            (pp_rank, number): rank
            for pp_rank, ranks in by_pp_rank.items()
            for number, rank in enumerate(ranks)
        }
        return cls(
            rule=DependencyRule(run.schedule) if run.schedule is not None else None,
            pp_rank=run.pp_rank,
            twin=twin,
            number={rank: number for (_, number), rank in twin.items()},
            made_ns={key: end for place, rows in groups.items() for key, end in _made(place, rows)},
            received_ns=received_ns(run.held.communications) if run.schedule is not None else {},
        )


def _made(place: _Place, rows: pd.DataFrame) -> Iterator[tuple[tuple[int, int, str], int]]:
    for text, end in zip(rows[SLOT].astype(str), rows[END].tolist(), strict=True):
        for action in text.split("&"):
            yield (*place, action), end


def _needs(rows: pd.DataFrame, place: _Place, lookup: _Lookup) -> Needs:
    texts = rows[SLOT].astype(str).tolist()
    found = [_need(text, place, lookup) for text in texts]
    return Needs(
        texts=np.array(texts, dtype=object),
        starts=rows[START].to_numpy(np.int64),
        ends=rows[END].to_numpy(np.int64),
        arrival_ns=np.array([0 if need is None else need[0] for need in found], dtype=np.int64),
        producer_ranks=np.array([-1 if need is None else need[1] for need in found], np.int32),
        producers=np.array(["" if need is None else need[2] for need in found], dtype=object),
        known=np.array([need is not None for need in found], dtype=bool),
    )


def _need(text: str, place: _Place, lookup: _Lookup) -> tuple[int, int, str] | None:
    """Arrival, rank and action of the input that came last; None where it cannot be known."""
    rank, step = place
    if lookup.rule is None or rank not in lookup.pp_rank:
        return None
    sources = lookup.sources(lookup.pp_rank[rank], text)
    if sources is None:
        return None
    latest = (0, -1, "")
    for pp_rank, action in sources:
        producer = lookup.twin.get((pp_rank, lookup.number[rank]), -1)
        made = lookup.made_ns.get((producer, step, action))
        if made is None:
            return None
        received = lookup.received_ns.get((rank, step, message_name(action)), 0)
        latest = max(latest, (max(made, received), producer, action))
    return latest
