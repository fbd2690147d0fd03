"""Names what other programs wrote, by the first bytes or the names of processes, with a way out."""

from __future__ import annotations

from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.trace.read.columns import DEVICE_CATEGORIES, TraceColumns

_ASCEND = ("Ascend Hardware", "CANN")


def refuse_foreign(trace: TraceColumns, file: Path) -> None:
    """Raise `DpprofError` for a trace whose device rows are there and cannot be told."""
    names = {name for given in trace.process_names.values() for name in given}
    if names.intersection(_ASCEND) and not len(trace.rows(*DEVICE_CATEGORIES)):
        raise DpprofError(
            f"{file}: is a trace_view.json of the Ascend NPU profiler, whose device rows have no "
            "category: they are not read, and its host rows alone tell nothing of the device; see "
            "it in MindStudio Insight, or give its rows of Ascend Hardware the category kernel"
        )
