"""Memory curves of ranks in a step, with what they are made of and the chunks in flight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.analysis.figures import MemoryFigures, RankFigures
from dpprof.analysis.memory.in_flight import in_flight_curve
from dpprof.dashboards.data.bubble_regions import window_of
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.tables.columns import (
    ACTIVATIONS,
    ALLOCATED,
    AT,
    CHUNKS,
    COMMUNICATION_BUFFERS,
    DIRECTION,
    GRADIENTS,
    OPTIMIZER_STATE,
    PARAMETERS,
    RANK,
    STEP,
)

Numbers = npt.NDArray[np.int64]

MOST_POINTS = 4000
"""Points of a curve that are sent; more than a screen has pixels, four for each."""

_MARGIN = 10
"""Memory is shown this fraction of the step before and after it."""

REST = "the rest"
UNTOLD = "activations and the rest"
"""What is left beside parameters, gradients and optimizer state where nothing tells it apart."""
EVERYTHING = "not told apart"
"""All of it, where nothing is known of what it is for."""

NAMES: Mapping[str, str] = {
    PARAMETERS: "parameters",
    GRADIENTS: "gradients",
    OPTIMIZER_STATE: "optimizer state",
    ACTIVATIONS: "activations",
    COMMUNICATION_BUFFERS: "communication buffers",
}


@dataclass(frozen=True)
class RankCurve:
    """The memory of a rank in a step; times in nanoseconds from the start of the step.

    ``allocated[i]`` bytes are allocated from ``at_ns[i]`` on; `parts` add up to it, the lowest
    band first. ``in_flight[d][i]`` chunks of direction d are in flight from ``in_flight_at[i]`` on.
    The last points are the end of the range, where nothing changes.
    `changes` is how many changes the range has, of which the points are those that a picture cannot
    do without (`thinned`).
    """

    rank: int
    at_ns: Numbers
    allocated: Numbers
    parts: dict[str, Numbers]
    in_flight_at: Numbers
    in_flight: dict[int, Numbers]
    changes: int
    figures: MemoryFigures

    @property
    def peak(self) -> tuple[int, int] | None:
        """When the most is allocated in the range, and how much; None where nothing is known."""
        if not len(self.allocated):
            return None
        top = int(self.allocated.argmax())
        return int(self.at_ns[top]), int(self.allocated[top])

    def chunks_at(self, at_ns: int) -> dict[int, int]:
        """Chunks in flight at an instant, by direction."""
        place = int(np.searchsorted(self.in_flight_at, at_ns, side="right")) - 1
        return {
            direction: int(chunks[place]) if place >= 0 else 0
            for direction, chunks in self.in_flight.items()
        }


def whole_span(run: LibraryRun, step: int) -> tuple[int, int]:
    """The step window and the changes of memory around it, from the start of the window.

    Memory is allocated before the first activity, so it may begin before 0; what comes long before
    or after the window (a profiler that is stopped) is left out, but never the peak.
    """
    start, end = window_of(run, step)
    own = run.run.memory[run.run.memory[STEP] == step]
    at = own[AT].to_numpy(np.int64) - start
    margin = (end - start) // _MARGIN
    near = at[(at >= -margin) & (at < end - start + margin)]
    peak = at[[own[ALLOCATED].to_numpy(np.int64).argmax()]] if len(at) else at
    shown = np.concatenate([near, peak, [0, end - start - 1]])
    return int(shown.min()), int(shown.max()) + 1


def rank_curve(
    library: Library, run: LibraryRun, step: int, rank: RankFigures, span: tuple[int, int]
) -> RankCurve:
    """The curve of a rank in a step within `span` (from the start of the step)."""
    origin, _ = window_of(run, step)
    own = run.run.memory
    own = own[(own[RANK] == rank.rank) & (own[STEP] == step)]
    at = own[AT].to_numpy(np.int64) - origin
    inside = _within(at, span)
    rows = inside[thinned(own[ALLOCATED].to_numpy(np.int64)[inside], MOST_POINTS)]
    closed = np.append(rows, rows[-1:])  # once more, for the end of the range
    chosen = own.iloc[closed]
    in_flight_at, in_flight = _in_flight(library, run, step, rank.rank)
    in_flight_at = np.append(in_flight_at, np.maximum(in_flight_at[-1:], span[1]))
    return RankCurve(
        rank=rank.rank,
        at_ns=np.append(np.maximum(at[rows], span[0]), [span[1]] * len(rows[-1:])),
        allocated=chosen[ALLOCATED].to_numpy(np.int64),
        parts=_parts(chosen, rank.memory),
        in_flight_at=in_flight_at,
        in_flight={one: np.append(many, many[-1:]) for one, many in in_flight.items()},
        changes=len(inside),
        figures=rank.memory,
    )


def _within(at: Numbers, span: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Rows that matter within a span: those inside it, and the one in force when it begins."""
    first = max(int(np.searchsorted(at, span[0], side="right")) - 1, 0)
    last = int(np.searchsorted(at, span[1], side="left"))
    return np.arange(first, max(first, last))


def thinned(values: Numbers, most: int) -> npt.NDArray[np.intp]:
    """Positions of at most `most` values that a picture of a long curve cannot do without.

    Of each of ``most // 4`` equal parts the first, the least, the largest and the last value.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, most // 4 + 1).astype(np.intp)
    kept = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[low:high]
        kept += [low, low + int(part.argmin()), low + int(part.argmax()), high - 1]
    return np.unique(np.array(kept, dtype=np.intp))


def _parts(curve: pd.DataFrame, figures: MemoryFigures) -> dict[str, Numbers]:
    """What the bytes are for, as far as the manifest or a snapshot says; the rest on top."""
    left = curve[ALLOCATED].to_numpy(np.int64).copy()
    said = {
        PARAMETERS: figures.parameter_bytes,
        GRADIENTS: figures.gradient_bytes,
        OPTIMIZER_STATE: figures.optimizer_bytes,
    }
    parts = {}
    for column, name in NAMES.items():
        measured = curve[column].to_numpy(np.int64)
        known = said.get(column)
        if known is None and (not len(measured) or (measured < 0).any()):
            continue
        band = np.minimum(measured if known is None else np.full(len(left), known), left)
        if band.any():
            parts[name] = band
            left -= band
    if left.any():
        parts[name_of_rest(parts)] = left
    return parts


def name_of_rest(parts: Iterable[str]) -> str:
    """What to call that which is none of `parts`."""
    known = set(parts)
    if not known:
        return EVERYTHING
    return REST if NAMES[ACTIVATIONS] in known else UNTOLD


def _in_flight(
    library: Library, run: LibraryRun, step: int, rank: int
) -> tuple[Numbers, dict[int, Numbers]]:
    """Instants of change, and the chunks of every direction from each of them on."""
    curve = library.kept(("in flight", run.id, rank), lambda: in_flight_curve(run.run, rank))
    curve = curve[curve[STEP] == step]
    if curve.empty:
        return np.zeros(0, dtype=np.int64), {}
    wide = curve.pivot(index=AT, columns=DIRECTION, values=CHUNKS).ffill().fillna(0)
    origin, _ = window_of(run, step)
    held = {int(str(name)): column.to_numpy(np.int64) for name, column in wide.items()}
    return wide.index.to_numpy(np.int64) - origin, held
