"""What the host does between launches, where the trace names it: why a device has nothing to do."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dpprof.tables.columns import END, HOST_SPANS, NAME, RANK, START, empty_table, make_table
from dpprof.trace.activities.find import host_rows
from dpprof.trace.activities.steps import Marks
from dpprof.trace.read.columns import TraceColumns

_WORTH_NAMING = re.compile(
    r"data.?loader|(?:get|next|load|fetch).?batch|Optimizer\.|optimizer.?step|checkpoint|"
    r"\beval(?:uat\w+)?\b|\bvalidat\w+",
    re.IGNORECASE,
)
"""Data loading (``enumerate(DataLoader)#...``), optimizer, checkpoint, evaluation."""


def host_spans(trace: TraceColumns, marks: Marks, rank: int) -> pd.DataFrame:
    """The HOST_SPANS table: of the threads that mark steps, of all where none does."""
    wanted = np.array([bool(_WORTH_NAMING.search(name)) for name in trace.names], dtype=bool)
    rows = host_rows(trace, wanted)
    if len(marks.threads):
        rows = rows[np.isin(trace.thread[rows], marks.threads)]
    if not len(rows):
        return empty_table(HOST_SPANS)
    rows = rows[np.argsort(trace.start_ns[rows], kind="stable")]
    codes, names = pd.factorize(trace.name[rows])
    texts = pd.Index([trace.names[name] for name in names], dtype="str")
    return make_table(
        HOST_SPANS,
        {
            RANK: rank,
            START: trace.start_ns[rows],
            END: trace.end_ns[rows],
            NAME: pd.Categorical.from_codes(codes, texts),
        },
    )
