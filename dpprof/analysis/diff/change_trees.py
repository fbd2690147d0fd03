"""Trees of times that add up: where a step's time goes on both sides, and what its work is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from dpprof.analysis.diff.work_accounts import HIDDEN, OWN, TOTAL
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
    computing = [
        _sum(rows[rows[KIND] == COMPUTE], OWN, COMPUTE_ONLY, scale, effects),
        _sum(rows[rows[KIND] == COMPUTE], HIDDEN, OVERLAP, scale, effects),
    ]
    kinds, states = set(rows[KIND]), set(bubbles[STATE])
    exposed = [
        _exposed(rows, classed, kind, scale, effects)
        for kind in COMMUNICATION_KINDS
        if kind in kinds
    ]
    idle = [_bubble(bubbles, state, scale, effects) for state in BUBBLE_STATES if state in states]
    parts = [
        whole(COMPUTING, computing, effects),
        whole(EXPOSED, present(exposed), effects),
        _sum(rows[rows[KIND] == MEMORY], OWN, MEMORY, scale, effects),
        *present([_sum(rows[rows[KIND] == FUSED], OWN, FUSED, scale, effects)]),
        whole(BUBBLE, present(idle), effects),
    ]
    return whole(STEP_PART, parts, effects)


def work_tree(classed: pd.DataFrame, scale: Scale) -> Part:
    """Computing by what is the same work and what is not, each by operation."""
    return whole(COMPUTING, _by_class(classed[classed[KIND] == COMPUTE], scale))


def operation_tree(rows: pd.DataFrame, scale: Scale) -> Part:
    """All activity, by operation and state."""
    parts = [
        whole(str(label), list(_states(group, scale)))
        for label, group in rows.groupby(LABEL, observed=True)
    ]
    return whole(ACTIVITY, largest(parts))


def _states(rows: pd.DataFrame, scale: Scale) -> Iterator[Part]:
    """The states of rows, those that occur."""
    for kind, group in rows.groupby(KIND, observed=True):
        state = f"{EXPOSED}.{kind!s}" if kind in COMMUNICATION_KINDS else str(kind)
        yield from present([_sum(group, OWN, state, scale, {})])
        if kind == COMPUTE:
            yield from present([_sum(group, HIDDEN, OVERLAP, scale, {})])


def _sum(rows: pd.DataFrame, column: str, name: str, scale: Scale, effects: Effects) -> Part:
    base, new = (int(rows[side].sum()) for side in both(column))
    return replace(scale.part(name, base, new), effect=effects.get(name))


def _exposed(
    rows: pd.DataFrame, classed: pd.DataFrame | None, kind: str, scale: Scale, effects: Effects
) -> Part:
    """Exposed communication of a kind: transfers less what lies under computing or others."""
    own = rows[rows[KIND] == kind]
    name = f"{EXPOSED}.{kind}"
    total = _sum(own, TOTAL, TRANSFERS, scale, {})
    if classed is not None:
        total = replace(total, parts=_by_class(classed[classed[KIND] == kind], scale))
    hidden = negative(_sum(own, HIDDEN, "", scale, {}), HIDDEN_PART)
    exposed = _sum(own, OWN, name, scale, effects)
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
