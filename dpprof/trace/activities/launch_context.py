"""What launched each activity: its slot, component and message, its collective, its hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpprof.schedules.actions import OVERLAPPED_PAIR
from dpprof.tables.columns import COMPONENT, LAYER, MICRO_BATCH, OPERATION, SLOT
from dpprof.trace.activities.annotations import Family, exchange_of, is_pair, read_annotations
from dpprof.trace.activities.coalesced_calls import calls_before
from dpprof.trace.activities.find import Activities, autograd_threads, host_rows, spans_of
from dpprof.trace.activities.kernel_table import is_library_call
from dpprof.trace.activities.kind_rules import EXCHANGE, KindRule
from dpprof.trace.activities.nesting import innermost_by_group, touches
from dpprof.trace.activities.steps import Marks
from dpprof.trace.activities.user_rules import LONGEST_TEXT, asked_for
from dpprof.trace.read.columns import Category, Codes, Mask, Rows, TraceColumns

FAMILY = "family"
HINT = "hint"


@dataclass(frozen=True)
class Issuer:
    """Finds the annotations around the issue of each activity; made once per trace."""

    trace: TraceColumns
    activities: Activities
    main_threads: Codes  # where autograd's threads inherit annotations from
    autograd: Codes

    def around(self, spans: Rows) -> Rows:
        """The innermost of `spans` (positions in the trace) around each issue; -1 for none.

        Spans of the issuing thread come first; work that autograd's threads launch inherits
        those of the training loop, which waits for it.
        """
        trace, issued = self.trace, self.activities
        thread = trace.thread[spans]
        found = _around(trace, spans, thread, issued.issue_thread, issued)
        if issued.on_gpu and len(self.autograd):
            inherits = (found < 0) & np.isin(issued.issue_thread, self.autograd)
            elsewhere = ~np.isin(thread, self.autograd)
            everyone = np.where(elsewhere, 0, -1).astype(np.int32)
            asks = np.where(inherits, 0, -2).astype(np.int32)
            found = np.where(inherits, _around(trace, spans, everyone, asks, issued), found)
        return np.append(spans, -1)[found]


def _around(
    trace: TraceColumns, spans: Rows, group: Codes, asks: Codes, issued: Activities
) -> Rows:
    return innermost_by_group(
        (group, trace.start_ns[spans], trace.end_ns[spans]), (asks, issued.issue_ns)
    )


def make_issuer(trace: TraceColumns, activities: Activities, marks: Marks) -> Issuer:
    """Prepare the search; the thread that marks the steps is never taken for autograd's."""
    autograd = np.setdiff1d(autograd_threads(trace), marks.threads).astype(np.int32)
    return Issuer(trace, activities, marks.threads, autograd)


def find_context(issuer: Issuer, marks: Marks) -> pd.DataFrame:
    """The schedule context of each activity: one row per activity, columns as in `Annotation`."""
    trace, activities = issuer.trace, issuer.activities
    candidates = trace.rows(Category.ANNOTATION, Category.OPERATOR)
    fields = read_annotations(trace.names, np.unique(trace.name[candidates]).tolist())
    spans = candidates[np.isin(trace.name[candidates], fields.index)]
    spans = spans[~overruled(trace, fields, spans)]
    source = np.where(activities.labelled, activities.rows, issuer.around(spans))
    name = pd.Index(np.append(trace.name, -1)[source])
    context = fields.take(fields.index.get_indexer(name)).reset_index(drop=True)
    layers = _component_layers(trace, fields, spans, marks)
    context[LAYER] = layers[source]
    counts = counted(trace, fields, spans, marks)[source]
    if (counts >= 0).any():
        _name_counted(context, counts)
    return _with_exchanges(issuer, _with_pairs(issuer, context))


def with_own_hints(
    issuer: Issuer, context: pd.DataFrame, patterns: Sequence[KindRule]
) -> pd.DataFrame:
    """Launches are known by the innermost annotation that the user's own patterns ask for."""
    trace = issuer.trace
    if not any(rule.where == "annotation" for rule in patterns):
        return context
    rows = trace.rows(Category.ANNOTATION)
    names = np.unique(trace.name[rows])
    texts = {int(code): trace.names[code][:LONGEST_TEXT] for code in names}
    wanted = asked_for(patterns, "annotation", texts.values())
    spans = rows[np.isin(trace.name[rows], [code for code in texts if texts[code] in wanted])]
    around = issuer.around(spans) if len(spans) else np.zeros(0, dtype=np.intp)
    return _with_hints(
        context, around >= 0, [texts[int(code)] for code in trace.name[around[around >= 0]]]
    )


def _with_hints(context: pd.DataFrame, rows: Mask, hints: Sequence[str]) -> pd.DataFrame:
    if not len(rows) or not rows.any():
        return context
    every = context[HINT].astype(str).to_numpy(dtype=object)
    every[rows] = hints
    return context.assign(**{HINT: pd.Series(every, index=context.index).astype("category")})


def _with_exchanges(issuer: Issuer, context: pd.DataFrame) -> pd.DataFrame:
    """What runs inside anybody's annotation of a dispatch or combine is hinted to be one."""
    words = [exchange_of(name) for name in issuer.trace.names]
    spans = host_rows(issuer.trace, np.array([bool(word) for word in words], dtype=bool))
    if not len(spans):
        return context
    around = issuer.around(spans)
    free = (around >= 0) & ~context[FAMILY].isin([Family.LABEL, Family.COMPONENT]).to_numpy()
    names = issuer.trace.name[around[free]]
    return _with_hints(context, free, [EXCHANGE + words[name] for name in names.tolist()])


_FRAMEWORKS = (Family.PIPELINING, Family.COUNTED)


def overruled(trace: TraceColumns, fields: pd.DataFrame, spans: Rows) -> Mask:
    """Which annotations are a framework's word on a slot that dpprof's own labels tell of.

    `fields` are as read by `read_annotations`, `spans` the positions of those annotations.
    """
    family = fields[FAMILY].reindex(trace.name[spans]).to_numpy()
    own = spans[(family == Family.SLOT)]
    theirs = np.flatnonzero(np.isin(family.astype(str), _FRAMEWORKS))
    result = np.zeros(len(spans), dtype=bool)
    if len(own) and len(theirs):
        result[theirs] = touches(spans_of(trace, spans[theirs]), spans_of(trace, own))
    return result


def counted(trace: TraceColumns, fields: pd.DataFrame, spans: Rows, marks: Marks) -> Codes:
    """By position in the trace, how many annotations of that operation went before in the step.

    -1 for all but annotations that name an operation and no micro-batch. `fields` are as read by
    `read_annotations`, `spans` the positions of those annotations.
    """
    counts = np.full(len(trace.name) + 1, -1, dtype=np.int32)  # the last is that of row -1
    family = fields[FAMILY].reindex(trace.name[spans]).to_numpy()
    rows = spans[family == Family.COUNTED]
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    step = marks.step_at(trace.start_ns[rows])
    operation = fields[OPERATION].reindex(trace.name[rows]).to_numpy()
    frame = pd.DataFrame({"step": step, "operation": operation})
    counts[rows] = frame.groupby(["step", "operation"], observed=True).cumcount().to_numpy()
    return counts


def _name_counted(context: pd.DataFrame, counts: Codes) -> None:
    """Write slot and micro-batch where an operation is known by its count."""
    known = counts >= 0
    operation = context[OPERATION].astype(str)
    slot = operation + "0." + pd.Series(counts, index=context.index).astype(str)
    context[SLOT] = slot.where(known, context[SLOT].astype(str)).astype("category")
    context[MICRO_BATCH] = np.where(known, counts, context[MICRO_BATCH])


def _component_layers(
    trace: TraceColumns, fields: pd.DataFrame, spans: Rows, marks: Marks
) -> Codes:
    """Layers by position in the trace: as labelled, or the running number within the step."""
    layers = np.full(len(trace.name) + 1, -1, dtype=np.int32)  # the last is that of row -1
    layers[spans] = fields[LAYER].reindex(trace.name[spans]).to_numpy()
    family = fields[FAMILY].reindex(trace.name[spans]).to_numpy()
    counted = spans[family == Family.COMPONENT]
    counted = counted[np.argsort(trace.start_ns[counted], kind="stable")]
    step = marks.step_at(trace.start_ns[counted])
    frame = pd.DataFrame({"step": step, "name": trace.name[counted]})
    layers[counted] = frame.groupby(["step", "name"]).cumcount().to_numpy()
    return layers


def _with_pairs(issuer: Issuer, context: pd.DataFrame) -> pd.DataFrame:
    """Components inside an annotation of an overlapped pair get its operation."""
    pairs = np.array([is_pair(name) for name in issuer.trace.names], dtype=bool)
    spans = host_rows(issuer.trace, pairs)
    if len(spans):
        context[OPERATION] = context[OPERATION].astype(str)
        inside = issuer.around(spans) >= 0
        bare = (context[OPERATION] == "") & (context[COMPONENT] != "")
        context.loc[inside & bare, OPERATION] = OVERLAPPED_PAIR
    return context


def find_calls(issuer: Issuer) -> Rows:
    """The innermost call of a communication library around each issue; -1 for none."""
    is_call = [is_library_call(name) for name in issuer.trace.names]
    return issuer.around(host_rows(issuer.trace, np.array(is_call, dtype=bool)))


def collective_calls(issuer: Issuer) -> Rows:
    """The innermost call around each issue of which Kineto names the collective; -1 for none."""
    operators = issuer.trace.rows(Category.OPERATOR)
    return issuer.around(operators[issuer.trace.collective[operators] >= 0])


def find_collectives(issuer: Issuer, around: Rows) -> Codes:
    """The collective that Kineto names: of the activity itself, or of the call that issued it.

    A span that says only how much it sends is known by its call, which says to whom; the kernel
    of a coalesced batch by the calls before it. `around` are the `collective_calls`.
    """
    trace = issuer.trace
    own = trace.collective[issuer.activities.rows]
    of_call = np.where(around >= 0, trace.collective[around], -1)
    sizes_only = [
        one.name in ("send", "recv") and max(one.source, one.destination) < 0
        for one in trace.collectives
    ]
    complete = ~np.array([*sizes_only, True], dtype=bool)[own] | (of_call < 0)
    found = np.where(complete & (own >= 0), own, of_call).astype(np.int32)
    return calls_before(trace, issuer.activities, found) if issuer.activities.on_gpu else found
