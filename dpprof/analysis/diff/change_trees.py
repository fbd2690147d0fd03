"""Trees of times that add up: where a step's time goes on both sides, and what its work is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from msgspec.structs import replace

from dpprof.analysis.diff.model import BubbleCause, Effect, Part
from dpprof.analysis.diff.part_names import (
    ACTIVITY,
    BUBBLE,
    CLASSES,
    COMPUTING,
    EXPOSED,
    HIDDEN_PART,
    STEP_PART,
    TRANSFERS,
    UNDER_OTHERS,
)
from dpprof.analysis.diff.parts import Scale, add_up, largest, negative, present, sums_by, whole
from dpprof.analysis.diff.work_accounts import HIDDEN, OWN, TIMES, TOTAL
from dpprof.analysis.diff.work_rows import BASE, CLASS, LABEL, NEW, both
from dpprof.tables.columns import CAUSE, CAUSE_RANK, KIND, STATE
from dpprof.tables.kinds import (
    BUBBLE_STATES,
    COMMUNICATION_KINDS,
    COMPUTE,
    COMPUTE_ONLY,
    FUSED,
    MEMORY,
    OVERLAP,
)

Effects = Mapping[str, Effect]


def time_tree(
    rows: pd.DataFrame,
    bubbles: pd.DataFrame,
    classed: pd.DataFrame | None,
    scale: Scale,
    effects: Effects,
) -> Part:
    """The step window by state.

    `rows` has a row per work (`compare`), `bubbles` columns STATE, CAUSE, base and new,
    `classed` is that of `classify`, to take transfers apart by.
    """
    sums = _sums(rows)
    computing = [
        _part(sums, COMPUTE, OWN, COMPUTE_ONLY, scale, effects),
        _part(sums, COMPUTE, HIDDEN, OVERLAP, scale, effects),
    ]
    states = set(bubbles[STATE])
    exposed = [
        _exposed(sums, classed, kind, scale, effects)
        for kind in COMMUNICATION_KINDS
        if kind in sums
    ]
    idle = [_bubble(bubbles, state, scale, effects) for state in BUBBLE_STATES if state in states]
    parts = [
        whole(COMPUTING, computing, effects),
        whole(EXPOSED, present(exposed), effects),
        _part(sums, MEMORY, OWN, MEMORY, scale, effects),
        *present([_part(sums, FUSED, OWN, FUSED, scale, effects)]),
        whole(BUBBLE, present(idle), effects),
    ]
    return whole(STEP_PART, parts, effects)


def work_tree(classed: pd.DataFrame, scale: Scale) -> Part:
    """Computing by what is the same work and what is not, each by operation."""
    return whole(COMPUTING, _by_class(classed[classed[KIND] == COMPUTE], scale))


def operation_tree(rows: pd.DataFrame, scale: Scale) -> Part:
    """All activity, by operation and state."""
    added = add_up(rows, [LABEL, KIND], _COLUMNS).sort_values([LABEL, KIND], kind="stable")
    parts = [
        whole(str(label), list(_states(_sums(group), scale)))
        for label, group in added.groupby(LABEL, sort=False)
    ]
    return whole(ACTIVITY, largest(parts))


def _states(sums: _Sums, scale: Scale) -> Iterator[Part]:
    """The states of work, those that occur."""
    for kind in sums:
        state = f"{EXPOSED}.{kind}" if kind in COMMUNICATION_KINDS else kind
        yield from present([_part(sums, kind, OWN, state, scale, {})])
        if kind == COMPUTE:
            yield from present([_part(sums, kind, HIDDEN, OVERLAP, scale, {})])


_Sums = Mapping[str, Mapping[str, tuple[int, int]]]
"""Kind -> total, hidden or own -> each side's sum."""

_COLUMNS = [column for time in TIMES for column in both(time)]


def _sums(rows: pd.DataFrame) -> _Sums:
    """Of the kinds that are there, in order of first occurrence."""
    number, kinds = pd.factorize(rows[KIND])
    sums = np.zeros((len(_COLUMNS), len(kinds)), dtype=np.int64)
    for row, column in zip(sums, _COLUMNS, strict=True):
        np.add.at(row, number, rows[column].to_numpy(np.int64))
    return {
        str(kind): dict(zip(TIMES, zip(*[iter(own)] * 2, strict=True), strict=True))
        for kind, own in zip(kinds, sums.T.tolist(), strict=True)
    }


def _part(sums: _Sums, kind: str, column: str, name: str, scale: Scale, effects: Effects) -> Part:
    base, new = sums.get(kind, {}).get(column, (0, 0))
    return replace(scale.part(name, base, new), effect=effects.get(name))


def _exposed(
    sums: _Sums, classed: pd.DataFrame | None, kind: str, scale: Scale, effects: Effects
) -> Part:
    """Exposed communication of a kind: transfers less what lies under computing or others."""
    name = f"{EXPOSED}.{kind}"
    total = _part(sums, kind, TOTAL, TRANSFERS, scale, {})
    if classed is not None:
        total = replace(total, parts=_by_class(classed[classed[KIND] == kind], scale))
    hidden = negative(_part(sums, kind, HIDDEN, "", scale, {}), HIDDEN_PART)
    exposed = _part(sums, kind, OWN, name, scale, effects)
    parts = [total, hidden, _covered(exposed, total, hidden)]
    return replace(exposed, parts=present(parts))


def _covered(exposed: Part, total: Part, hidden: Part) -> Part:
    """What lies under transfers of another kind: all that is neither exposed nor hidden."""
    base = exposed.base_ns - total.base_ns - hidden.base_ns
    new = exposed.new_ns - total.new_ns - hidden.new_ns
    return Part(name=UNDER_OTHERS, base_ns=base, new_ns=new, change_ns=new - base)


def _by_class(classed: pd.DataFrame, scale: Scale) -> list[Part]:
    found = set(classed[CLASS])
    return present(
        whole(name, largest(_by(classed[classed[CLASS] == name], LABEL, scale)))
        for name in CLASSES
        if name in found
    )


def _bubble(bubbles: pd.DataFrame, state: str, scale: Scale, effects: Effects) -> Part:
    own = bubbles[bubbles[STATE] == state]
    keys = [CAUSE, *([CAUSE_RANK] if CAUSE_RANK in own else [])]
    sums = add_up(own, keys, [BASE, NEW])
    return whole(state, largest(_cause(*row, scale=scale) for row in sums.values.tolist()), effects)


def _cause(cause: BubbleCause, *rest: int, scale: Scale) -> Part:
    """A part for a cause, with the peer where the rows tell it."""
    *peer, base, new = rest
    if peer and peer[0] >= 0:
        cause = replace(cause, rank=peer[0])
    return replace(scale.part(cause.operation or cause.kind, base, new), cause=cause)


def _by(rows: pd.DataFrame, column: str, scale: Scale) -> Sequence[Part]:
    sums = sums_by(rows, column, (BASE, NEW))
    return [scale.part(name, *times) for name, times in sums.items()]
