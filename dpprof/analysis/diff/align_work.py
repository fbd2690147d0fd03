"""Work of two runs under common names, however their schedules order, place and split it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dpprof.analysis.diff.kernel_matching import Match
from dpprof.analysis.diff.model import Alignment
from dpprof.analysis.diff.parts import add_up
from dpprof.analysis.diff.work_accounts import CALLS, TIMES, Cells
from dpprof.analysis.diff.work_labels import BACKWARD_OF_PAIR, WORK_LABELS
from dpprof.schedules.actions import OVERLAPPED_PAIR, Operation
from dpprof.tables.columns import COMPONENT, KIND, LAYER, MICRO_BATCH, NAME, OPERATION, RANK, STAGE
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE

KEY = [KIND, *WORK_LABELS]
"""What identifies work on both sides; fields that one side does not know are empty on both."""

LABELS = (STAGE, MICRO_BATCH, OPERATION, COMPONENT, LAYER)

_P2P = COMMUNICATION_KINDS[0]
_BACKWARD = Operation.BACKWARD.value
_SPLIT = dict.fromkeys(("I", "W"), _BACKWARD)
_EMPTY: dict[str, Any] = {STAGE: -1, MICRO_BATCH: -1, OPERATION: "", COMPONENT: "", LAYER: -1}
_Atom = tuple[int, int, str]
"""Stage, micro-batch and operation."""


@dataclass(frozen=True)
class AlignedWork:
    """The work of both sides: columns RANK, `KEY`, times and calls as in `Cells`.

    `base_slots` and `new_slots` say on which RANK and in which SLOT work was computed (STAGE,
    MICRO_BATCH, OPERATION). `known` says what identifies work.
    """

    base: pd.DataFrame
    new: pd.DataFrame
    base_slots: pd.DataFrame
    new_slots: pd.DataFrame
    known: Alignment


def align(base: Cells, new: Cells, matches: Sequence[Match]) -> AlignedWork:
    """Put the work of both sides under common names; `matches` are of their kernels' names."""
    works = [base.work, new.work]
    labels = [label for label in LABELS if all(_knows(work, label) for work in works)]
    if OPERATION not in labels and COMPONENT not in labels:
        kernels = [side.kernels.assign(**_EMPTY) for side in (base, new)]
        none = base.slots.iloc[:0]
        first, second = _named(kernels, matches)
        return AlignedWork(first, second, none, none, Alignment(by=[]))
    slots = [side.slots.assign(**{KIND: COMPUTE}) for side in (base, new)]
    notes: list[str] = []
    stages = (base.stage_count, new.stage_count)
    if STAGE in labels and stages[0] != stages[1]:
        labels.remove(STAGE)
        works, note = _without_stages(works, stages, LAYER in labels)
        notes.append(note)
    if any(_has(work, _BACKWARD) for work in works):
        works, slots = ([_unsplit(one) for one in many] for many in (works, slots))
    if any(_has(work, OVERLAPPED_PAIR) for work in works):
        root = _roots([atoms for work in works for atoms in _pairs(work)])
        works, slots = ([_merged(one, root) for one in many] for many in (works, slots))
        notes.append("overlapped pairs that nothing takes apart count as one with their F and B")
    works, slots = ([_forget(one, labels) for one in many] for many in (works, slots))
    first, second = _named(works, matches)
    base_slots, new_slots = slots
    known = Alignment(by=labels, note="; ".join(notes))
    return AlignedWork(first, second, base_slots, new_slots, known)


def _unsplit(work: pd.DataFrame) -> pd.DataFrame:
    return work.assign(**{OPERATION: work[OPERATION].replace(_SPLIT)})


def _forget(work: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Empty the labels that do not identify work on both sides."""
    empty = {name: _EMPTY[name] for name in LABELS if name in work and name not in labels}
    return work.assign(**empty)


def _knows(work: pd.DataFrame, label: str) -> bool:
    computing = work[work[KIND] == COMPUTE]
    return bool((computing[label] != _EMPTY[label]).any())


def _has(work: pd.DataFrame, operation: str) -> bool:
    return bool((work[OPERATION] == operation).any())


def _without_stages(
    sides: list[pd.DataFrame], stages: tuple[int, int], by_layer: bool
) -> tuple[list[pd.DataFrame], str]:
    """Number layers through the model where the sides cut it into other stages."""
    counts = " and ".join(map(str, stages))
    if not by_layer:
        return sides, f"the model is cut into {counts} stages and layers are not known"
    numbered, depths = [], []
    for side, stage_count in zip(sides, stages, strict=True):
        layers, known = int(side[LAYER].max()) + 1, (side[LAYER] >= 0) & (side[STAGE] >= 0)
        through = (side[STAGE] * layers + side[LAYER]).where(known, side[LAYER])
        numbered.append(side.assign(**{LAYER: through}))
        depths.append(stage_count * layers)
    note = f"the model is cut into {counts} stages: layers are numbered through it"
    if len(set(depths)) > 1:
        note += f"; it has {depths[0]} layers in BASE and {depths[1]} in NEW"
    return numbered, note


def _pairs(work: pd.DataFrame) -> Iterator[tuple[_Atom, _Atom]]:
    pairs = work[work[OPERATION] == OVERLAPPED_PAIR]
    forms = pairs[[STAGE, MICRO_BATCH, *BACKWARD_OF_PAIR]].drop_duplicates()
    for stage, micro_batch, *backward in forms.to_numpy(np.int64).tolist():
        if backward[1] >= 0:
            yield (stage, micro_batch, Operation.FORWARD.value), (*backward, _BACKWARD)


def _roots(pairs: Sequence[tuple[_Atom, _Atom]]) -> dict[_Atom, _Atom]:
    """For each action of a pair the first of all that pairs tie together."""
    root: dict[_Atom, _Atom] = {}

    def find(atom: _Atom) -> _Atom:
        while root.setdefault(atom, atom) != atom:
            atom = root[atom]
        return atom

    for forward, backward in pairs:
        first, second = sorted((find(forward), find(backward)))
        root[second] = first
    return {atom: find(atom) for atom in list(root)}


def _merged(work: pd.DataFrame, root: Mapping[_Atom, _Atom]) -> pd.DataFrame:
    # A message belongs to the action that made it, whether or not a pair hides it.
    pair = work[OPERATION] == OVERLAPPED_PAIR
    alone = ((work[KIND] != _P2P) | pair).to_numpy(dtype=bool)
    atoms = zip(work[STAGE], work[MICRO_BATCH], work[OPERATION], strict=True)
    forward = Operation.FORWARD.value
    looked_up = [
        root.get((stage, micro_batch, forward if operation == OVERLAPPED_PAIR else operation))
        for stage, micro_batch, operation in atoms
    ]
    tied = alone & np.array([one is not None for one in looked_up], dtype=bool)
    chosen = [one for one, use in zip(looked_up, tied, strict=True) if use and one is not None]
    result = work.copy()
    if chosen:
        stages, micro_batches, _ = zip(*chosen, strict=True)
        result.loc[tied, STAGE] = stages
        result.loc[tied, MICRO_BATCH] = micro_batches
        result.loc[tied, OPERATION] = OVERLAPPED_PAIR
    return result


def _named(
    works: Sequence[pd.DataFrame], matches: Sequence[Match]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The work with the names of kernels that both sides know, added up by `KEY`."""
    names = _common(matches)
    base, new = (_added(_rename(work, own)) for work, own in zip(works, names, strict=True))
    return base, new


def _common(matches: Sequence[Match]) -> list[dict[tuple[str, str], str]]:
    """For each side, kind and name -> what stands for it on both."""
    common: list[dict[tuple[str, str], str]] = [{}, {}]
    for match in matches:
        for side, names in zip(common, (match.base, match.new), strict=True):
            side.update({(match.kind, name): match.title for name in names})
    return common


def _rename(work: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Only what has no labels has a name."""
    named = np.flatnonzero(work[NAME] != "")
    result = work[NAME].to_numpy(dtype=object, copy=True)
    pairs = zip(work[KIND].iloc[named].tolist(), result[named].tolist(), strict=True)
    result[named] = [names.get(pair, pair[1]) for pair in pairs]
    return work.assign(**{NAME: result})


def _added(work: pd.DataFrame) -> pd.DataFrame:
    return add_up(work, [RANK, *KEY], [*TIMES, CALLS])
