"""Steps of inference servers by their own marks: prefill, decode, or both in one batch.

SGLang's scheduler marks a batch as ``step[DECODE bs=16]``, ``step[EXTEND bs=2 toks=812]`` or
``step[MIXED ...]``; vLLM's worker as ``execute_context_1(512)_generation_3(3)``, later with a
number behind ``execute``: the requests that are prefilled and those that are decoded.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from dpprof.trace.activities.find import host_rows
from dpprof.trace.activities.marks import mark_numbers
from dpprof.trace.activities.nesting import is_outermost
from dpprof.trace.activities.step_ranges import number_in_order, with_marks
from dpprof.trace.read.columns import TraceColumns

_SGLANG = re.compile(r"step\[([A-Z_]{1,40})(?: [^\]]{0,200})?\]")
_VLLM = re.compile(
    r"execute_(?:\d{1,9}_)?context_(\d{1,9})\([^()]{0,99}\)_generation_(\d{1,9})\([^()]{0,99}\)"
)
_PHASES = {"DECODE": "decode", "EXTEND": "prefill", "MIXED": "mixed"}
_MARK = re.compile(r"ProfilerStep#\d+\[([a-z_]+)\]")


def phase_of(name: str) -> str:
    """``prefill``, ``decode``, ``mixed`` or the server's own word; empty for any other name."""
    if match := _SGLANG.fullmatch(name):
        return _PHASES.get(match[1], match[1].lower())
    if match := _VLLM.fullmatch(name):
        prefilled, decoded = int(match[1]), int(match[2])
        return "mixed" if prefilled and decoded else "prefill" if prefilled else "decode"
    return ""


def with_inference_steps(trace: TraceColumns) -> TraceColumns:
    """The trace with a server's batches as its steps, where nothing else marks any.

    Batches are numbered in order, thread by thread.
    """
    phases = [phase_of(name) for name in trace.names]
    if not any(phases) or (mark_numbers(trace)[np.unique(trace.name)] >= 0).any():
        return trace
    rows = host_rows(trace, np.array([bool(one) for one in phases]))
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    rows = rows[is_outermost(trace.thread[rows], trace.start_ns[rows], trace.end_ns[rows])]
    numbers = number_in_order(trace.thread[rows].tolist())
    marked = [
        f"{number}[{phases[code]}]" for number, code in zip(numbers, trace.name[rows], strict=True)
    ]
    return with_marks(trace, rows, marked)


def phases_warning(trace: TraceColumns) -> str:
    """How many steps are of which kind, where they are of several; else nothing."""
    names = Counter(trace.names[code] for code in np.unique(trace.name).tolist())
    found = Counter(match[1] for name in names if (match := _MARK.fullmatch(name)))
    if len(found) < 2:
        return ""
    counts = ", ".join(f"{count} {phase}" for phase, count in sorted(found.items()))
    return (
        f"steps are batches of an inference server, of several kinds ({counts}): figures are means "
        "over all of them; --step-range with the name of one kind's marks (as "
        "'step[[]DECODE*' or 'execute_context_0*') accounts that kind alone"
    )
