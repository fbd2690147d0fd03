"""`trace_analysis`: a run as HTA's own ``TraceAnalysis``, without HTA reading a trace."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import pandas as pd

from dpprof.errors import DpprofError
from dpprof.hta.frames import rank_frame
from dpprof.hta.guard import guarded
from dpprof.hta.kinds import CommunicationName, name_by_class, use_kinds
from dpprof.hta.legacy_frame import LegacyFrame
from dpprof.hta.rewrite import raw_trace
from dpprof.hta.stragglers import identify_by_waits
from dpprof.runs.run import Run
from dpprof.tables.columns import START

if TYPE_CHECKING:
    from typing import Protocol

    from hta.trace_analysis import TraceAnalysis

    class HasRun(Protocol):
        """A `dpprof.api.LoadedRun`."""

        @property
        def run(self) -> Run:
            """The tables."""


def trace_analysis(run: Run | HasRun) -> TraceAnalysis:
    """The used steps of `run` as an ``hta.trace_analysis.TraceAnalysis`` (HTA 0.5.0).

    HTA's analyses run on our tables, on one clock, and by our kinds: what we call communication
    is communication to HTA, for the whole process. Where one of them fails it raises
    `DpprofError` that names it and says why. Times are microseconds from the start of the run.
    Raises `DpprofError` where HTA is not installed or a trace is gone.
    """
    tables = run if isinstance(run, Run) else run.run
    _check_installed()
    ranks = [place.rank for place in tables.places]
    starts = [tables.held.of_rank(rank)[START].min() for rank in ranks]
    origin_ns = min((int(start) for start in starts if pd.notna(start)), default=0)
    frames = {rank: rank_frame(tables, rank, origin_ns) for rank in ranks}
    if not any(len(frame) for frame in frames.values()):
        raise DpprofError(f"{tables.name}: holds no activity in its steps; HTA needs some")
    classes = name_by_class(frames)
    use_kinds(classes)
    return guarded(_trace(tables, frames, classes), ranks, identify_by_waits(tables))


def _check_installed() -> None:
    try:
        import hta.trace_analysis  # noqa: F401
    except ImportError as error:
        raise DpprofError(
            f"HTA is not installed ({error}); install it with: pip install 'dpprof[hta]'"
        ) from error


def _trace(run: Run, frames: dict[int, pd.DataFrame], classes: dict[str, str]) -> Any:
    from hta.common.trace import Trace, transform_correlation_to_index
    from hta.common.trace_symbol_table import TraceSymbolTable

    symbols = TraceSymbolTable()
    for frame in frames.values():
        for column in ("name", "cat"):
            symbols.add_symbols(_symbols(frame[column].unique(), classes))
    codes = symbols.get_sym_id_map()
    trace = Trace(trace_files={}, trace_dir=tempfile.gettempdir())
    for rank, frame in frames.items():
        coded = {column: frame[column].map(codes).astype("int64") for column in ("name", "cat")}
        indexed = LegacyFrame(frame.assign(**coded)).set_index("index", drop=False)
        indexed.index.names = [None]
        trace.traces[rank] = transform_correlation_to_index(indexed, symbols)
        trace.meta_data[rank] = {}
    trace.symbol_table, trace.is_parsed, trace.min_ts = symbols, True, 0
    trace.trace_files = {rank: str(file) for rank, file in run.files.items()}
    trace.get_raw_trace_for_one_rank = lambda rank=0: raw_trace(
        run.files.get(rank), trace.traces[rank]
    )
    return trace


def _symbols(names: Any, classes: dict[str, str]) -> list[str]:
    return [
        CommunicationName(name) if classes.get(name) == "communication" else name for name in names
    ]
