"""The device activities of one trace: what ran, on which lane, and where it was issued."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import pandas as pd

from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE
from dpprof.tables.labels import PREFIX, SLOT_LABEL, parse_label
from dpprof.trace.activities.kind_rules import LIBRARY_SPAN
from dpprof.trace.activities.marks import MARK
from dpprof.trace.activities.nesting import Spans, innermost_by_group, is_outermost, touches
from dpprof.trace.read.columns import (
    DEVICE_CATEGORIES,
    Category,
    Codes,
    Mask,
    Nanoseconds,
    Rows,
    TraceColumns,
)


@dataclass(frozen=True)
class Activities:
    """Device activities as positions in the trace's columns, in file order.

    `lane` numbers the entries of `lanes`. `issue_thread` and `issue_ns` say which thread issued
    the activity and when: the launch of GPU work, the activity itself on a CPU; both are -1 for
    GPU work whose launch is not in the trace. `labelled` says which are dpprof's own labels.
    """

    rows: Rows
    lane: Codes
    lanes: tuple[str, ...]
    issue_thread: Codes
    issue_ns: Nanoseconds
    on_gpu: bool
    labelled: Mask


def find_activities(trace: TraceColumns) -> Activities:
    """The activities of a GPU trace; of a CPU trace dpprof's labels and the operators beside them.

    Of an emulated run the labels alone: what the host does around them is no work of the device.
    """
    on_gpu = _without_events(trace, trace.rows(*DEVICE_CATEGORIES))
    if len(on_gpu):
        return _on_gpu(trace, on_gpu)
    labels = label_rows(trace, slots=False)
    if len(labels) and _is_emulated(trace):
        return _on_cpu(trace, labels, labels)
    return _on_cpu(trace, np.sort(np.concatenate((labels, _operators(trace, labels)))), labels)


_EVENTS = frozenset({"event_record", "event_wait"})


def _without_events(trace: TraceColumns, rows: Rows) -> Rows:
    """MTIA lists the events of its queues among its work: waiting for one is no activity."""
    codes = [code for code, name in enumerate(trace.names) if name in _EVENTS]
    return rows[~np.isin(trace.name[rows], codes)] if codes else rows


def _is_emulated(trace: TraceColumns) -> bool:
    return isinstance(trace.dpprof, dict) and trace.dpprof.get("source") == "emulated"


def label_rows(trace: TraceColumns, *, slots: bool) -> Rows:
    """Positions of dpprof's labels: of slots, or of everything else.

    A label is known by its name: torch's fast profiler range writes it as an operator.
    """
    wanted = [
        name.startswith(PREFIX) and (name.split(" ", 1)[0] == PREFIX + SLOT_LABEL) == slots
        for name in trace.names
    ]
    return host_rows(trace, np.array(wanted, dtype=bool))


def spans_of(trace: TraceColumns, rows: Rows) -> Spans:
    """Thread, start and end of rows of the trace."""
    return trace.thread[rows], trace.start_ns[rows], trace.end_ns[rows]


def host_rows(trace: TraceColumns, wanted_names: Mask) -> Rows:
    """Positions of the annotations and operators whose name (by code) is wanted."""
    rows = trace.rows(Category.ANNOTATION, Category.OPERATOR)
    return rows[wanted_names[trace.name[rows]]] if len(rows) else rows


def _on_gpu(trace: TraceColumns, rows: Rows) -> Activities:
    launches = trace.rows(Category.LAUNCH)
    launches = launches[trace.correlation[launches] > 0]
    order = np.lexsort((trace.start_ns[launches], trace.correlation[launches]))
    launches = launches[order]
    wanted = trace.correlation[rows]
    position = np.searchsorted(trace.correlation[launches], wanted)
    inside = position < len(launches)
    launch = np.append(launches, -1)[np.where(inside, position, -1)]
    found = inside & (wanted > 0) & (trace.correlation[launch] == wanted)
    lane, lanes = _gpu_lanes(trace, rows)
    return Activities(
        rows=rows,
        lane=lane,
        lanes=lanes,
        issue_thread=np.where(found, trace.thread[launch], -1).astype(np.int32),
        issue_ns=np.where(found, trace.start_ns[launch], -1),
        on_gpu=True,
        labelled=np.zeros(len(rows), dtype=bool),
    )


def _gpu_lanes(trace: TraceColumns, rows: Rows) -> tuple[Codes, tuple[str, ...]]:
    """``stream 7``, with the device before it where the trace has several."""
    devices, device = np.unique(trace.device[rows], return_inverse=True)
    # The thread only stands in for a stream that is not written.
    thread = np.where(trace.stream[rows] >= 0, -1, trace.thread[rows])
    streams, threads = len(trace.streams) + 1, len(trace.threads) + 1
    key = (device * streams + trace.stream[rows] + 1) * threads + thread + 1
    lane, unique = pd.factorize(key, sort=True)
    several = len(devices) > 1
    lanes = []
    for one in unique.tolist():
        number, stream = devices[one // threads // streams], one // threads % streams - 1
        own = one % threads - 1
        text = trace.threads[own][1] if own >= 0 else "of no name"
        text = trace.streams[stream] if stream >= 0 else text
        text = "stream " + text.removeprefix("stream ").strip()
        lanes.append(f"device {number} {text}" if several else text)
    codes, texts = pd.factorize(np.array(lanes, dtype=object))
    return codes[lane].astype(np.int32), tuple(texts)


def _on_cpu(trace: TraceColumns, rows: Rows, labels: Rows) -> Activities:
    threads, lane = np.unique(trace.thread[rows], return_inverse=True)
    is_compute = np.array([name.startswith(PREFIX + COMPUTE) for name in trace.names], dtype=bool)
    computing = np.unique(trace.thread[labels[is_compute[trace.name[labels]]]])
    return Activities(
        rows=rows,
        lane=lane.astype(np.int32),
        lanes=_thread_lanes(trace, threads.tolist(), set(computing.tolist())),
        issue_thread=trace.thread[rows],
        issue_ns=trace.start_ns[rows],
        on_gpu=False,
        labelled=np.isin(rows, labels),
    )


_THREAD_NAME = re.compile(r"thread \d+ \((.+)\)")
_SAYS_NOTHING = re.compile(r"python[\d.]*|pt_main_thread|MainThread|")


def thread_title(trace: TraceColumns, thread: int) -> str:
    """The name that the thread was given, "" where it has only that of the program."""
    for written in trace.thread_names.get(trace.threads[thread], ()):
        match = _THREAD_NAME.fullmatch(written.strip())
        title = match[1] if match else written.strip()
        if not _SAYS_NOTHING.fullmatch(title):
            return title
    return ""


def _thread_lanes(
    trace: TraceColumns, threads: Iterable[int], computing: set[int]
) -> tuple[str, ...]:
    """Thread names; an unnamed thread that computes is "compute".

    The id tells doubles apart, or, where threads of several processes have the same, a number.
    """
    lanes: list[str] = []
    for thread in threads:
        number = trace.threads[thread][1]
        lane = thread_title(trace, thread) or ("compute" if thread in computing else "")
        lane = lane or f"thread {number}"
        choices = chain((lane, f"{lane} {number}"), (f"{lane} {number} ({n})" for n in count(2)))
        lanes.append(next(choice for choice in choices if choice not in lanes))
    return tuple(lanes)


_MESSAGE_SPAN = re.compile(r"(?:gloo|nccl|ucc|mpi):(?:send|recv)")
_P2P = COMMUNICATION_KINDS[0]
_CALL = re.compile(r"c10d::|record_param_comms|aten::_?wait_tensor|_c10d_functional::")
AUTOGRAD = "autograd::engine::evaluate_function"
"""What autograd runs of a function: its hooks too, which may wait for a collective."""
_NO_WORK = re.compile(
    f"{_CALL.pattern}|{LIBRARY_SPAN.pattern}|{re.escape(PREFIX)}|{MARK.pattern}$|{AUTOGRAD}"
)


def _operators(trace: TraceColumns, labels: Rows) -> Rows:
    """Outermost operators but for library calls and marks, and the library's own spans.

    Autograd's spans around a function and its hooks are none: the function's own operators are.

    A label is what runs inside it, so operators inside are left out, and of operators around one
    those count that it does not lie in.
    """
    no_work = [_NO_WORK.match(name) is not None for name in trace.names]
    operators = trace.rows(Category.OPERATOR)
    operators = operators[~np.array(no_work, dtype=bool)[trace.name[operators]]]
    operators = operators[~touches(spans_of(trace, operators), spans_of(trace, labels))]
    outermost = is_outermost(
        trace.thread[operators], trace.start_ns[operators], trace.end_ns[operators]
    )
    return np.concatenate((operators[outermost], _library_spans(trace, labels)))


def _library_spans(trace: TraceColumns, labels: Rows) -> Rows:
    """The spans that the library writes of its communications, unless a label tells of them.

    Labelled messages may be labelled where they are waited for, long after their span begins.
    """
    said = {code: parse_label(trace.names[code]) for code in np.unique(trace.name[labels])}
    kinds = np.array([one.kind if (one := said[code]) else "" for code in trace.name[labels]])
    spans = np.array([LIBRARY_SPAN.match(name) is not None for name in trace.names], dtype=bool)
    messages = [_MESSAGE_SPAN.match(name) is not None for name in trace.names]
    found = trace.rows(Category.ANNOTATION, Category.OPERATOR)  # torch writes either
    found = found[spans[trace.name[found]]]
    if (kinds == _P2P).any():
        found = found[~np.array(messages, dtype=bool)[trace.name[found]]]
    communicating = labels[np.isin(kinds, COMMUNICATION_KINDS)]
    alone: Rows = found[_around(trace, communicating, found) < 0]
    return alone


def _around(trace: TraceColumns, labels: Rows, spans: Rows) -> Rows:
    """The label of its thread that each span starts in; -1 for none."""
    return innermost_by_group(
        spans_of(trace, labels),
        (trace.thread[spans], trace.start_ns[spans]),
    )


def autograd_threads(trace: TraceColumns) -> Codes:
    """The threads that run autograd's backward: they inherit the annotations of their caller."""
    is_backward = np.array([name.startswith(AUTOGRAD) for name in trace.names], dtype=bool)
    operators = trace.rows(Category.OPERATOR)
    by_operator = np.unique(trace.thread[operators[is_backward[trace.name[operators]]]])
    by_name = [
        thread
        for thread in range(len(trace.threads))
        if thread_title(trace, thread).startswith("pt_autograd")
    ]
    return np.union1d(by_operator, np.array(by_name, dtype=np.int32)).astype(np.int32)
