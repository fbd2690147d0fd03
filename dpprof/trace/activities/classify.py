"""Gives every activity of a trace its kind, and says which rule decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import KIND
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE, KINDS, MEMORY
from dpprof.trace.activities.kernel_table import looks_like_communication
from dpprof.trace.activities.kind_rules import (
    BY_A_COLLECTIVE,
    KNOWN_COMPUTATION,
    NOT_KNOWN,
    KindClues,
    KindRule,
    Verdict,
    classify,
    is_unsure,
)
from dpprof.trace.activities.launch_context import HINT
from dpprof.trace.activities.user_rules import ask_patterns
from dpprof.trace.read.columns import Category, Codes, Mask, Rows, TraceColumns

TITLE = "title"
RULE = "rule"
COUNT = "activities"
TIME = "total_ns"
SUSPECT = "suspect"
_MOSTLY = 0.5

LABEL_NOT_KNOWN = "label, kind not known"
SAME_NAME = "as all others of this name on its lane"
OWN_COPY = "local copy in a collective's call"


@dataclass(frozen=True)
class Verdicts:
    """Kind and rule of each activity, and one row per distinct verdict for people to read.

    `kinds` are positions in `dpprof.tables.kinds.KINDS`; the columns of `explained` are those of
    `KindClues`, then kind, rule, activities (a count), total_ns, and suspect: whether any of them
    is `suspect`: taken for computation by default although its name has words of communication,
    or on a lane that mostly communicates.
    """

    kinds: npt.NDArray[np.int8]
    rules: npt.NDArray[np.object_]
    suspect: npt.NDArray[np.bool_]
    explained: pd.DataFrame

    @property
    def communicates(self) -> npt.NDArray[np.bool_]:
        """Which activities are communication."""
        return _communicates(self.kinds)


@dataclass(frozen=True)
class FoundActivities:
    """What was found around the activities `rows` of a trace, one entry each.

    `call` is the row of the library's call that issued it, `instance` that of its collective, if
    Kineto writes one; -1 for none.
    """

    rows: Rows
    lane: Codes
    context: pd.DataFrame
    collective: Codes
    call: Rows
    instance: Rows
    labelled: Mask


def judge(trace: TraceColumns, found: FoundActivities, patterns: Sequence[KindRule]) -> Verdicts:
    """The verdict on each activity; every distinct combination of evidence is judged once."""
    hint = found.context[HINT].astype("category")
    name, names = _names(trace, found)
    keys = pd.DataFrame(
        {
            "category": trace.category[found.rows],
            "name": name,
            "collective": found.collective,
            "hint": hint.cat.codes.to_numpy(),
            "call": np.append(trace.name, -1)[found.call],
            "labelled": found.labelled,
        }
    )
    number = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
    unique = keys.drop_duplicates().reset_index(drop=True)
    hints = hint.cat.categories.tolist()
    rows = unique.drop(columns="labelled").to_numpy().tolist()
    evidence = [_evidence(trace, row, names, hints) for row in rows]
    asked = ask_patterns(patterns, evidence)
    verdicts = [
        mine or _judge_one(one, labelled)
        for mine, one, labelled in zip(asked, evidence, unique["labelled"].tolist(), strict=True)
    ]
    kinds = np.array([KINDS.index(one.kind) for one in verdicts], dtype=np.int8)[number]
    rules = np.array([*(one.rule for one in verdicts), ""], dtype=object)[number]
    kinds, rules = _by_namesakes(trace, found, kinds, rules)
    kinds, rules = _own_copies(found, kinds, rules)
    doubtful = np.array([_looks(*one) for one in zip(evidence, verdicts, strict=True)], dtype=bool)
    suspect = _suspect(trace, found, kinds, rules) | doubtful[number]
    frame = pd.DataFrame({"number": number, "code": kinds, RULE: rules, SUSPECT: suspect})
    frame[TIME] = trace.end_ns[found.rows] - trace.start_ns[found.rows]
    return Verdicts(kinds, rules, suspect, _explain(evidence, frame))


def _names(
    trace: TraceColumns, found: FoundActivities
) -> tuple[npt.NDArray[np.integer], Sequence[str]]:
    """The names to judge by, as codes: of labels the short ones, as in the events table."""
    if not found.labelled.any():
        return trace.name[found.rows], trace.names
    title = found.context[TITLE].astype("category")
    codes = np.where(
        found.labelled, title.cat.codes.astype(int) + len(trace.names), trace.name[found.rows]
    )
    return codes, (*trace.names, *title.cat.categories.tolist())


def _evidence(
    trace: TraceColumns, row: list[int], names: Sequence[str], hints: Sequence[str]
) -> KindClues:
    category, name, collective, hint, call = row
    said = trace.collectives[collective] if collective >= 0 else None
    return KindClues(
        category=Category(category),
        name="" if name < 0 else names[name],
        collective="" if said is None else said.name,
        group="" if said is None else said.description,
        annotation=hints[hint],
        call="" if call < 0 else trace.names[call],
    )


def _judge_one(evidence: KindClues, labelled: bool) -> Verdict:
    if not labelled:
        return classify(evidence)
    kind = evidence.annotation.rpartition(":")[2]
    return Verdict(kind, "label") if kind in KINDS else Verdict(COMPUTE, LABEL_NOT_KNOWN)


def _by_namesakes(
    trace: TraceColumns,
    found: FoundActivities,
    kinds: npt.NDArray[np.int8],
    rules: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.object_]]:
    """Decide names that fit several kinds (SendRecv) by those whose launch is in the trace.

    Only where all others of the same name on the same lane are of one kind.
    """
    alone = [rule for rule in pd.unique(rules) if is_unsure(rule)]
    unsure = np.isin(rules.astype(str), alone) & (found.call < 0)
    if not unsure.any() or unsure.all():
        return kinds, rules
    frame = pd.DataFrame({"name": trace.name[found.rows], "lane": found.lane, "kind": kinds})
    known = frame[~unsure].groupby(["name", "lane"])["kind"].agg(["nunique", "first"])
    clear = known.loc[known["nunique"] == 1, "first"]
    wanted = pd.MultiIndex.from_frame(frame.loc[unsure, ["name", "lane"]])
    by_others = clear.reindex(wanted).to_numpy(dtype=float)
    decided = np.flatnonzero(unsure)[~np.isnan(by_others)]
    kinds, rules = kinds.copy(), rules.copy()
    kinds[decided] = by_others[~np.isnan(by_others)].astype(np.int8)
    rules[decided] = SAME_NAME
    return kinds, rules


def _own_copies(
    found: FoundActivities, kinds: npt.NDArray[np.int8], rules: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.object_]]:
    """Copies on the device in a collective's call are local where something else carries it out.

    A kernel of the collective, or a copy between devices, that the same call launched.
    """
    by_copy = [rule for rule in pd.unique(rules) if rule.startswith(BY_A_COLLECTIVE)]
    if not by_copy:
        return kinds, rules
    copies = np.isin(rules.astype(str), by_copy)
    carried = np.unique(found.instance[_communicates(kinds) & ~copies & (found.instance >= 0)])
    local = copies & np.isin(found.instance, carried)
    kinds, rules = kinds.copy(), rules.copy()
    kinds[local] = KINDS.index(MEMORY)
    rules[local] = OWN_COPY
    return kinds, rules


def _explain(evidence: Sequence[KindClues], judged: pd.DataFrame) -> pd.DataFrame:
    by_verdict = judged.groupby(["number", "code", RULE], sort=False)
    count, sums = by_verdict.size(), by_verdict[[TIME, SUSPECT]].sum()
    totals = zip(count.index, count, sums[TIME], sums[SUSPECT] > 0, strict=True)
    records = [
        evidence[number]._asdict()
        | {KIND: KINDS[code], RULE: rule, COUNT: count, TIME: time, SUSPECT: suspect}
        for (number, code, rule), count, time, suspect in totals
    ]
    columns = [*KindClues._fields, KIND, RULE, COUNT, TIME, SUSPECT]
    return pd.DataFrame.from_records(records, columns=columns)


def _communicates(kinds: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    return np.isin(kinds, [KINDS.index(kind) for kind in COMMUNICATION_KINDS])


def _suspect(
    trace: TraceColumns,
    found: FoundActivities,
    kinds: npt.NDArray[np.int8],
    rules: npt.NDArray[np.object_],
) -> npt.NDArray[np.bool_]:
    """What is taken for computation by default, on lanes that communicate most of their time."""
    time = (trace.end_ns[found.rows] - trace.start_ns[found.rows]).astype(float)
    lanes = int(found.lane.max(initial=-1)) + 1
    whole = np.bincount(found.lane, weights=time, minlength=lanes)
    communicating = np.bincount(found.lane, weights=time * _communicates(kinds), minlength=lanes)
    mostly = communicating > _MOSTLY * whole
    suspect: npt.NDArray[np.bool_] = (rules == NOT_KNOWN) & mostly[found.lane]
    return suspect


def _looks(evidence: KindClues, verdict: Verdict) -> bool:
    """Whether a name that no rule knows has words of communication."""
    unknown = verdict.rule in (NOT_KNOWN, KNOWN_COMPUTATION)
    return unknown and looks_like_communication(evidence.name)
