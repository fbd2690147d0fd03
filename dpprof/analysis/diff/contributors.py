"""Which slots and kernels carry a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import pandas as pd

from dpprof.analysis.diff.align_work import AlignedWork
from dpprof.analysis.diff.kernel_matching import Match, Name
from dpprof.analysis.diff.model import KernelDiff, Kernels, Part, Presence, SlotDiff, Slots
from dpprof.analysis.diff.part_names import OTHERS
from dpprof.analysis.diff.parts import Scale
from dpprof.analysis.diff.work_accounts import CALLS, HIDDEN, OWN, Cells
from dpprof.analysis.diff.work_rows import BASE, NEW, both
from dpprof.tables.columns import KIND, MICRO_BATCH, NAME, OPERATION, RANK, SLOT, STAGE
from dpprof.tables.kinds import COMPUTE

MOST_ROWS = 100
"""Slots and kernels that are listed one by one."""

_PLACE = [STAGE, MICRO_BATCH, OPERATION]
_Place = tuple[int, int, str]
_Row = TypeVar("_Row", SlotDiff, KernelDiff)


def busy_ns(rows: pd.DataFrame, prefix: str = "") -> pd.Series[int]:
    """The time of rows in which they decided the state of their rank."""
    hidden = rows[prefix + HIDDEN].where(rows[KIND] == COMPUTE, 0)
    return rows[prefix + OWN] + hidden


def slot_diffs(rows: pd.DataFrame, aligned: AlignedWork, scale: Scale) -> Slots:
    """The slots that changed most; `rows` as `compare` makes them."""
    labelled = rows[rows[OPERATION] != ""]
    times = labelled[[*_PLACE, *both(CALLS)]].assign(
        **{BASE: busy_ns(labelled, "base_"), NEW: busy_ns(labelled, "new_")}
    )
    sums = times.groupby(_PLACE, sort=False)[[BASE, NEW, *both(CALLS)]].sum()
    places = (_places(aligned.base_slots), _places(aligned.new_slots))
    found = [
        _slot((place, _presence(*calls)), scale.part("", base, new), places)
        for place, base, new, *calls in sums.itertuples(name=None)
    ]
    kept, others, count = _most(found)
    return Slots(rows=kept, others=others, others_count=count)


class _Where(NamedTuple):
    """The slots that hold something, and the ranks that they run on."""

    slots: dict[str, None]
    ranks: dict[int, None]


def _places(slots: pd.DataFrame) -> dict[_Place, _Where]:
    found: dict[_Place, _Where] = {}
    columns = (slots[name].tolist() for name in (*_PLACE, SLOT, RANK))
    for stage, micro_batch, operation, slot, rank in zip(*columns, strict=True):
        where = found.setdefault((stage, micro_batch, operation), _Where({}, {}))
        where.slots[slot] = None
        where.ranks[rank] = None
    return found


def _slot(
    what: tuple[_Place, Presence],
    time: Part,
    places: tuple[dict[_Place, _Where], dict[_Place, _Where]],
) -> SlotDiff:
    place, presence = what
    stage, micro_batch, operation = place
    base, new = (side.get(place, _Where({}, {})) for side in places)
    return SlotDiff(
        stage=None if stage < 0 else stage,
        micro_batch=None if micro_batch < 0 else micro_batch,
        operation=operation,
        presence=presence,
        base_slot=", ".join(base.slots) or None,
        new_slot=", ".join(new.slots) or None,
        base_ranks=sorted(base.ranks),
        new_ranks=sorted(new.ranks),
        base_ns=time.base_ns,
        new_ns=time.new_ns,
        change_ns=time.change_ns,
    )


def _presence(base: int, new: int) -> Presence:
    if base and new:
        return "both"
    return "removed" if base else "added"


def _most(rows: Iterable[_Row]) -> tuple[list[_Row], Part, int]:
    """The rows that changed most, the rest added up, and how many these are."""
    ordered = sorted(rows, key=lambda row: -abs(row.change_ns))
    rest = ordered[MOST_ROWS:]
    others = Part(
        name=OTHERS,
        base_ns=sum(row.base_ns for row in rest),
        new_ns=sum(row.new_ns for row in rest),
        change_ns=sum(row.change_ns for row in rest),
    )
    return ordered[:MOST_ROWS], others, len(rest)


def kernel_calls(cells: Cells, factor: int) -> dict[Name, int]:
    """(kind, name) -> its calls on all ranks, times `factor`."""
    return {name: calls * factor for name, calls in _by_name(cells, cells.kernels[CALLS]).items()}


def _by_name(cells: Cells, values: pd.Series[int]) -> dict[Name, int]:
    """Values of the rows of kernels added up over ranks."""
    sums: dict[Name, int] = {}
    names = zip(cells.kernels[KIND].tolist(), cells.kernels[NAME].tolist(), strict=True)
    for name, value in zip(names, values.tolist(), strict=True):
        sums[name] = sums.get(name, 0) + value
    return sums


def kernel_diffs(base: Cells, new: Cells, matches: Sequence[Match], scale: Scale) -> Kernels:
    """The kernels that changed most; every kernel is in one of `matches`."""
    calls = (kernel_calls(base, scale.base), kernel_calls(new, scale.new))
    times = (_by_name(base, busy_ns(base.kernels)), _by_name(new, busy_ns(new.kernels)))
    found = [_kernel(match, calls, times, scale) for match in matches]
    kept, others, count = _most(found)
    return Kernels(rows=kept, others=others, others_count=count)


def _kernel(
    match: Match,
    calls: tuple[dict[Name, int], dict[Name, int]],
    times: tuple[dict[Name, int], dict[Name, int]],
    scale: Scale,
) -> KernelDiff:
    sides = (match.base, match.new)
    counts = [
        sum(side[match.kind, name] for name in names)
        for side, names in zip(calls, sides, strict=True)
    ]
    sums = [
        sum(side[match.kind, name] for name in names)
        for side, names in zip(times, sides, strict=True)
    ]
    time = scale.part("", *sums)
    return KernelDiff(
        kind=match.kind,
        title=match.title,
        rule=match.rule,
        presence=_presence(*counts),
        base_names=list(match.base),
        new_names=list(match.new),
        base_calls=counts[0],
        new_calls=counts[1],
        base_ns=time.base_ns,
        new_ns=time.new_ns,
        change_ns=time.change_ns,
    )
