"""Makes two runs comparable: ranks that both have, waiting told apart on both or on neither."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.analysis.diff.common_waiting import alike_split
from dpprof.analysis.diff.restricted_run import restricted
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.tables.columns import STEP
from dpprof.tables.devices import rank_label, rank_name


@dataclass(frozen=True)
class CommonRanks:
    """Two runs with what they have in common.

    `pairs` are the ranks that correspond, as (BASE's, NEW's), in order; none where the sides have
    different numbers of ranks. `notes` say what was left out or changed for that.
    """

    base: Run
    new: Run
    pairs: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]


def comparable(base: Run, new: Run) -> CommonRanks:
    """What of two runs can be compared; raises `DpprofError` where nothing can."""
    for name, run in (("BASE", base), ("NEW", new)):
        _check(name, run)
    ranks = _Ranks.of(base, new)
    kept = ranks.kept(base), ranks.kept(new)
    first, second, notes = alike_split(*kept, ranks.pairs)
    return CommonRanks(first, second, ranks.pairs, (*ranks.notes, *notes))


def has_activity(run: Run) -> bool:
    """Whether there is anything to compare."""
    return bool(run.places) and bool(run.held.spans[STEP].isin(run.used_steps).any())


def _check(name: str, run: Run) -> None:
    if not has_activity(run):
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
        return restricted(run, self.common)


def _ranks(ranks: list[int]) -> str:
    return f"{len(ranks)} rank{'s' * (len(ranks) != 1)}"


def _in_order(base: list[int], new: list[int]) -> str:
    if len(base) == 1:
        return f"{rank_name(base[0])} of BASE is compared with {rank_name(new[0])} of NEW"
    return f"ranks {_list(base)} of BASE are compared with {_list(new)} of NEW, in order"


def _same(ranks: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((rank, rank) for rank in ranks)


def _list(ranks: Collection[int]) -> str:
    shown = [rank_label(rank) for rank in sorted(ranks)]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:7], f"... {shown[-1]}"])
