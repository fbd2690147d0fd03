"""One trace file to the tables of one rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.errors import FileFault
from dpprof.evidence.evidence import Evidence
from dpprof.runs.host_slots import on_host
from dpprof.tables import columns
from dpprof.tables.columns import empty_table
from dpprof.tables.kinds import KINDS
from dpprof.trace.activities.classify import TITLE, FoundActivities, Verdicts, judge
from dpprof.trace.activities.find import Activities, find_activities
from dpprof.trace.activities.host_spans import host_spans
from dpprof.trace.activities.inference_steps import phases_warning
from dpprof.trace.activities.kernel_table import in_parts
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.launch_context import (
    Issuer,
    collective_calls,
    find_calls,
    find_collectives,
    find_context,
    make_issuer,
    with_own_hints,
)
from dpprof.trace.activities.steps import OUTSIDE, Marks, bracketed, find_marks
from dpprof.trace.activities.unknown_kernels import UnknownKernel, unknown_kernels
from dpprof.trace.activities.unread_rows import told_apart
from dpprof.trace.rank.call_starts import started_ns
from dpprof.trace.rank.host_waits import wait_warning
from dpprof.trace.rank.identity import TraceIdentity
from dpprof.trace.rank.memory_curve import memory_doubts, memory_table
from dpprof.trace.rank.messages import COUNTED, Reader, message_columns
from dpprof.trace.rank.open_spans import without_open_ends
from dpprof.trace.rank.p2p_calls import with_messages
from dpprof.trace.rank.process_groups import OwnGroups
from dpprof.trace.rank.slots import slots_table
from dpprof.trace.rank.stream_waits import stream_waits
from dpprof.trace.read.columns import Category, Codes, TraceColumns


@dataclass(frozen=True, kw_only=True)
class RankTables:
    """The tables of one rank, READY not yet filled; `explained` is `Verdicts.explained`.

    `rank` is the number of its row (`TraceIdentity.row`), `on_gpu` whether it holds device
    activities.

    `marked` are the steps that the trace marks: without any, everything is step 0. `no_wait`
    says which rows of `events` need not wait for peers even where they are collective, `counted`
    which are numbered by order of start alone. `waits` is the table of what waits for what on other
    streams, complete where the trace `knows_waits`. `evidence` is what is amiss, and is not in
    `warnings`.
    """

    rank: int
    identity: TraceIdentity
    on_gpu: bool
    events: pd.DataFrame
    no_wait: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    explained: pd.DataFrame
    slots: pd.DataFrame = field(default_factory=partial(empty_table, columns.SLOTS))
    memory: pd.DataFrame = field(default_factory=partial(empty_table, columns.MEMORY))
    steps: pd.DataFrame = field(default_factory=partial(empty_table, columns.STEPS))
    host_spans: pd.DataFrame = field(default_factory=partial(empty_table, columns.HOST_SPANS))
    waits: pd.DataFrame = field(default_factory=partial(empty_table, columns.WAITS))
    marked: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    knows_waits: bool = False
    evidence: tuple[Evidence, ...] = ()
    unknown: tuple[UnknownKernel, ...] = ()


def make_tables(
    trace: TraceColumns, identity: TraceIdentity, patterns: Sequence[KindRule] = ()
) -> RankTables:
    """The tables of a parsed trace; `identity` must have a rank.

    Raises `FileFault` for a trace of a GPU without work of the GPU.
    """
    rank, row = identity.rank, identity.row
    assert rank is not None
    trace, open_spans = without_open_ends(trace)
    marks, activities = find_marks(trace), find_activities(trace)
    _refuse_empty_gpu(identity, activities)
    issuer = make_issuer(trace, activities, marks)
    found = _search(issuer, marks, patterns)
    verdicts = judge(trace, found, patterns)
    step = _steps_of(trace, activities, marks)
    values = _values(trace, activities, found, verdicts)
    values |= {columns.RANK: row, columns.STEP: step}
    own = OwnGroups.of(rank, identity.process_groups)
    values |= message_columns(trace, found, verdicts, step, Reader(own, trace))
    values = with_messages(values, trace, activities, found, verdicts, own)
    counted = np.asarray(values.pop(COUNTED), dtype=bool)
    copies = verdicts.communicates & (trace.category[found.rows] == Category.MEMCPY)
    values[columns.READY] = np.where(copies, trace.start_ns[found.rows], -1)
    table = columns.make_table(columns.EVENTS, values)
    slots = slots_table(trace, activities, marks, table)
    on_gpu = activities.on_gpu
    waits = stream_waits(trace, activities, row)
    return RankTables(
        rank=row,
        identity=identity,
        on_gpu=on_gpu,
        events=table,
        slots=slots,
        memory=memory_table(trace, on_gpu, marks, identity, on_host(slots, table)),
        steps=marks.table(row),
        marked=tuple(sorted(marks.step.tolist())),
        no_wait=_low_latency(trace, found) | copies,
        counted=counted,
        explained=verdicts.explained,
        host_spans=host_spans(trace, marks, row),
        waits=waits.table,
        knows_waits=waits.known,
        unknown=unknown_kernels(verdicts.explained),
        warnings=(
            *_warnings(trace, found),
            *open_spans,
            *waits.words,
            *marks.doubts,
            *_step_doubts(activities, marks),
            *memory_doubts(trace, on_gpu),
        ),
    )


def _refuse_empty_gpu(identity: TraceIdentity, activities: Activities) -> None:
    """Raise `FileFault` where the GPU's own work is missing: host time is no stand-in for it."""
    if identity.device == "cuda" and len(activities.rows) and not activities.on_gpu:
        raise FileFault(
            "was captured on a GPU and holds no GPU activity, as CUPTI recorded none; "
            "see that no other profiler runs and that the driver permits profiling, and capture "
            "again (with device='cpu', if the loop does not use the GPU)"
        )


def _search(issuer: Issuer, marks: Marks, patterns: Sequence[KindRule]) -> FoundActivities:
    activities, call = issuer.activities, find_calls(issuer)
    around = collective_calls(issuer)
    return FoundActivities(
        rows=activities.rows,
        lane=activities.lane,
        context=with_own_hints(issuer, find_context(issuer, marks), patterns),
        collective=find_collectives(issuer, around),
        call=call,
        instance=np.where(around >= 0, around, call),
        labelled=activities.labelled,
    )


def _steps_of(trace: TraceColumns, activities: Activities, marks: Marks) -> Codes:
    if not len(marks.step):
        return np.zeros(len(activities.rows), dtype=np.int32)
    step = marks.step_at(activities.issue_ns, activities.issue_thread)
    launched = activities.issue_ns != -1
    if launched.all():
        return step
    start_ns, bare = trace.start_ns[activities.rows], _bare(activities)
    step = bracketed(step, activities.lane, start_ns, launched)
    known = np.flatnonzero(launched & (step != OUTSIDE))
    ends_ns = trace.end_ns[activities.rows[known]]
    step[bare] = marks.step_by_time(start_ns[bare], (step[known], start_ns[known], ends_ns))
    return step


def _bare(activities: Activities) -> npt.NDArray[np.bool_]:
    """Activities of streams none of whose launches is in the trace."""
    launched = activities.issue_ns != -1
    return ~np.isin(activities.lane, activities.lane[launched])


_FROM_CONTEXT = (
    columns.STAGE,
    columns.SLOT,
    columns.OPERATION,
    columns.DIRECTION,
    columns.MICRO_BATCH,
    columns.PART,
    columns.COMPONENT,
    columns.LAYER,
)


def _values(
    trace: TraceColumns, activities: Activities, found: FoundActivities, verdicts: Verdicts
) -> dict[str, object]:
    rows, context = activities.rows, found.context
    values: dict[str, object] = {name: context[name] for name in _FROM_CONTEXT}
    values[columns.LANE] = _coded(activities.lane, activities.lanes)
    values[columns.START] = started_ns(trace, found)
    values[columns.END] = trace.end_ns[rows]
    values[columns.KIND] = _coded(verdicts.kinds, KINDS)
    values[columns.NAME] = _names(trace, found)
    if activities.on_gpu:
        values[columns.CORRELATION] = trace.correlation[rows]
        values[columns.LAUNCH] = activities.issue_ns
    return values


def _step_doubts(activities: Activities, marks: Marks) -> list[str]:
    bare = int(_bare(activities).sum()) if len(marks.step) else 0
    if not bare:
        return []
    return [
        f"{bare} activities are on streams without a launch in the trace: they belong "
        "to the steps in whose time they begin"
    ]


def _coded(codes: npt.NDArray[np.integer], texts: Sequence[str]) -> object:
    return pd.Categorical.from_codes(codes, pd.Index(list(texts), dtype="str"))


def _names(trace: TraceColumns, found: FoundActivities) -> object:
    """What the activities are called: labels by their short names."""
    if found.labelled.all():
        return found.context[TITLE]
    used, code = np.unique(trace.name[found.rows], return_inverse=True)
    names = pd.Series(_coded(code, [trace.names[name] for name in used]))
    if not found.labelled.any():
        return names
    title = found.context[TITLE].astype(object)
    return names.astype(object).where(~found.labelled, title).astype("category")


def _low_latency(trace: TraceColumns, found: FoundActivities) -> npt.NDArray[np.bool_]:
    codes, names = np.unique(trace.name[found.rows], return_inverse=True)
    return np.array([in_parts(trace.names[code]) for code in codes], dtype=bool)[names]


def _warnings(trace: TraceColumns, found: FoundActivities) -> tuple[str, ...]:
    warnings = list(trace.damage)
    if waits := wait_warning(trace):
        warnings.append(waits)
    if kinds := phases_warning(trace):
        warnings.append(kinds)
    if untold := max(0, trace.skipped - told_apart(trace)):
        warnings.append(f"{untold} events have values of the wrong type and are left out")
    if not len(found.rows):
        warnings.append("holds no device activity")
    return tuple(warnings)
