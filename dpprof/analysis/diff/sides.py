"""Makes two runs comparable: ranks that both have, waiting told apart on both or on neither."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from dpprof.errors import DpprofError
from dpprof.runs.events import RankEvents
from dpprof.runs.run import Run
from dpprof.tables.columns import KIND, RANK, READY, STEP
from dpprof.tables.kinds import COMMUNICATION_KINDS


@dataclass(frozen=True)
class Sides:
    """Two runs with what they have in common.

    `pairs` are the ranks that correspond, as (BASE's, NEW's), in order; none where the sides have
    different numbers of ranks. `notes` say what was left out or changed for that.
    """

    base: Run
    new: Run
    pairs: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]


def comparable(base: Run, new: Run) -> Sides:
    """What of two runs can be compared; raises `DpprofError` where nothing can."""
    for name, run in (("BASE", base), ("NEW", new)):
        _check(name, run)
    ranks = _Ranks.of(base, new)
    first, second = ranks.kept(base), ranks.kept(new)
    first, second, notes = _alike_split(first, second)
    return Sides(first, second, ranks.pairs, (*ranks.notes, *notes))


def _check(name: str, run: Run) -> None:
    spans = run.held.spans
    if not run.places or not spans[STEP].isin(run.used_steps).any():
        raise DpprofError(
            f"{name} ({run.name}): no activity in the steps that are used, so there is nothing to "
            "compare; pick other steps with --steps, or take --whole-trace"
        )


class _Ranks(NamedTuple):
    """Which ranks correspond, which are kept, and what there is to say of it."""

    pairs: tuple[tuple[int, int], ...]
    common: frozenset[int] | None  # None: all
    notes: tuple[str, ...]

    @classmethod
    def of(cls, base: Run, new: Run) -> _Ranks:
        """By number where both runs have the same world, else in order where counts are equal."""
        first, second = (sorted(place.rank for place in run.places) for run in (base, new))
        if first == second:
            return cls(_same(first), None, ())
        common = sorted(set(first) & set(second))
        if common and base.world_size is not None and base.world_size == new.world_size:
            left_out = [
                f"{name} has no rank {_list(missing)}: left out on the other side too, and the "
                "step windows are those of the ranks that are left"
                for name, missing in (
                    ("BASE", set(second) - set(first)),
                    ("NEW", set(first) - set(second)),
                )
                if missing
            ]
            return cls(_same(common), frozenset(common), tuple(left_out))
        if len(first) == len(second):
            pairs = tuple(zip(first, second, strict=True))
            return cls(pairs, None, (_in_order(first, second),))
        note = (
            f"BASE has {_ranks(first)} and NEW {len(second)}, which do not correspond: means "
            "over the ranks are compared, and no single ranks"
        )
        return cls((), None, (note,))

    def kept(self, run: Run) -> Run:
        """The run with the ranks that are compared."""
        if self.common is None or {place.rank for place in run.places} == self.common:
            return run
        return _restricted(run, self.common)


def _ranks(ranks: list[int]) -> str:
    return f"{len(ranks)} rank{'s' * (len(ranks) != 1)}"


def _in_order(base: list[int], new: list[int]) -> str:
    if len(base) == 1:
        return f"rank {base[0]} of BASE is compared with rank {new[0]} of NEW"
    return f"ranks {_list(base)} of BASE are compared with {_list(new)} of NEW, in order"


def _same(ranks: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((rank, rank) for rank in ranks)


def _list(ranks: Collection[int]) -> str:
    shown = [str(rank) for rank in sorted(ranks)]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:7], f"... {shown[-1]}"])


@dataclass(frozen=True)
class _View:
    """The events of some ranks, with waiting not told apart in some kinds; reads as it goes."""

    held: RankEvents
    ranks: frozenset[int]
    unsplit: frozenset[str]

    def of_rank(self, rank: int) -> pd.DataFrame:
        """The events of one rank."""
        events = self.held.of_rank(rank)
        return self._changed(events if rank in self.ranks else events.iloc[:0])

    @property
    def communications(self) -> pd.DataFrame:
        """All communications of the ranks."""
        every = self.held.communications
        return self._changed(every[every[RANK].isin(self.ranks)].reset_index(drop=True))

    @property
    def spans(self) -> pd.DataFrame:
        """Rank, step, earliest start and latest end."""
        spans = self.held.spans
        return spans[spans[RANK].isin(self.ranks)]

    @property
    def count(self) -> int:
        """About how many events there are: those of all ranks."""
        return self.held.count

    def whole(self) -> pd.DataFrame:
        """All events of the ranks."""
        events = self.held.whole()
        return self._changed(events[events[RANK].isin(self.ranks)])

    def _changed(self, events: pd.DataFrame) -> pd.DataFrame:
        if not self.unsplit:
            return events
        split = ~events[KIND].isin(self.unsplit)
        return events.assign(**{READY: events[READY].where(split, -1)})


def _restricted(run: Run, ranks: frozenset[int], unsplit: frozenset[str] = frozenset()) -> Run:
    def of_ranks(table: pd.DataFrame) -> pd.DataFrame:
        return table[table[RANK].isin(ranks)]

    return replace(
        run,
        held=_View(run.held, ranks, unsplit),
        places=tuple(place for place in run.places if place.rank in ranks),
        slots=of_ranks(run.slots),
        memory=of_ranks(run.memory),
        steps=of_ranks(run.steps),
        clocks=of_ranks(run.clocks),
    )


_MOSTLY = 0.5
"""A kind of which a larger share is unsplit on one side is compared unsplit on both."""


def _alike_split(base: Run, new: Run) -> tuple[Run, Run, list[str]]:
    """Waiting counts as transfer on both sides where one side cannot tell it apart."""
    shares = [_unsplit_shares(run) for run in (base, new)]
    notes: list[str] = []
    runs = [base, new]
    for side, name, other in ((0, "BASE", "NEW"), (1, "NEW", "BASE")):
        kinds = frozenset(
            kind
            for kind, share in shares[1 - side].items()
            if share > _MOSTLY and shares[side].get(kind, 1) <= _MOSTLY
        )
        if kinds:
            notes.append(
                f"{', '.join(sorted(kinds))}: {other} does not tell waiting from transferring, so "
                f"waiting counts as transfer in {name} too"
            )
            ranks = frozenset(place.rank for place in runs[side].places)
            runs[side] = _restricted(runs[side], ranks, kinds)
    return runs[0], runs[1], notes


def _unsplit_shares(run: Run) -> dict[str, float]:
    """Communication kind -> share of its operations of which no wait is known."""
    rows = run.held.communications
    rows = rows[rows[STEP].isin(run.used_steps)]
    kinds = rows[KIND].astype(str)
    shares = (rows[READY] < 0).groupby(kinds).mean()
    return {kind: float(shares[kind]) for kind in COMMUNICATION_KINDS if kind in shares.index}
