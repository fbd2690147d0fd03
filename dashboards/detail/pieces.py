"""The events of a rank as disjoint pieces of lanes, each with its codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.detail.names import CODES, UNKNOWN, UNLISTED, WAIT, Codes, codes_of
from dpprof.tables.columns import (
    COMPONENT,
    END,
    KIND,
    NAME,
    OPERATION,
    PART,
    READY,
    SLOT,
    START,
    STATE,
)
from dpprof.tables.intervals import Intervals, first_come, make_intervals, subtract, union
from dpprof.tables.kinds import COMMUNICATION_KINDS

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Sorted disjoint pieces of a lane; `codes` by colouring; `texts` are what may be written."""

    starts: Numbers
    ends: Numbers
    codes: dict[str, Codes]
    texts: npt.NDArray[np.object_]


@dataclass(frozen=True)
class RankColumns:
    """The columns of events of one rank that pieces are made of, texts as codes."""

    starts: Numbers
    ends: Numbers
    moves_ns: Numbers  # when a communication stops waiting for its peers; start of all others
    codes: dict[str, Codes]
    texts: npt.NDArray[np.object_]

    @classmethod
    def of(cls, events: pd.DataFrame) -> RankColumns:
        """Those of a table of events (columns `EVENTS`)."""
        starts, ends = events[START].to_numpy(np.int64), events[END].to_numpy(np.int64)
        kinds = events[KIND]
        moves = np.where(
            kinds.isin(COMMUNICATION_KINDS), np.maximum(starts, events[READY].to_numpy()), starts
        )
        by_kind = _codes(kinds)
        known = _first_known(_codes(events[PART]), _codes(events[OPERATION]), by_kind)
        components = _first_known(_codes(events[COMPONENT]), by_kind)
        codes = {"operation": known, "kind": by_kind, "component": components}
        moves = np.minimum(moves, np.maximum(starts, ends))
        return cls(starts, ends, moves, codes, _texts(events[NAME]))

    def part(self, rows: npt.NDArray[np.intp]) -> RankColumns:
        """Some rows of it."""
        return RankColumns(
            self.starts[rows],
            self.ends[rows],
            self.moves_ns[rows],
            {name: codes[rows] for name, codes in self.codes.items()},
            self.texts[rows],
        )


def _texts(column: pd.Series[str]) -> npt.NDArray[np.object_]:
    """The texts of a column; equal ones are one object."""
    numbers, values = pd.factorize(column)
    texts: npt.NDArray[np.object_] = np.append(values.astype(str).to_numpy(object), "")[numbers]
    return texts


def _codes(column: pd.Series[str]) -> Codes:
    numbers, values = pd.factorize(column)
    codes: Codes = np.append(codes_of(values.astype(str).to_numpy(object)), 0)[numbers]
    return codes.astype(np.uint8)


def _first_known(*many: Codes) -> Codes:
    """The first of each row's codes that says something."""
    result = many[-1]
    for codes in reversed(many[:-1]):
        result = np.where((codes == 0) | (codes == CODES[UNKNOWN]), result, codes)
    return result


def lane_pieces(columns: RankColumns) -> Pieces:
    """What a lane shows of events: work and transfers, and beneath them, waiting.

    Where several run at once, each instant is given to the one that began first.
    """
    moving, owner = first_come(Intervals(columns.moves_ns, columns.ends))
    waits = make_intervals(columns.starts, columns.moves_ns)
    waiting = subtract(union(waits), union(moving))
    starts = np.concatenate([moving.starts, waiting.starts])
    order = np.argsort(starts, kind="stable")
    waited = np.full(len(waiting.starts), CODES[WAIT], dtype=np.uint8)
    return Pieces(
        starts[order],
        np.concatenate([moving.ends, waiting.ends])[order],
        {
            name: np.concatenate([codes[owner], waited])[order]
            for name, codes in columns.codes.items()
        },
        np.concatenate([columns.texts[owner], np.full(len(waiting.starts), "", object)])[order],
    )


def slot_pieces(slots: pd.DataFrame) -> Pieces:
    """The schedule slots of one rank and step (columns `SLOTS`), with their texts."""
    pieces, owner = first_come(_intervals(slots))
    return _coloured(pieces, _codes(slots[OPERATION])[owner], slots[SLOT].astype(str), owner)


def bubble_pieces(regions: pd.DataFrame) -> Pieces:
    """The bubble regions of one rank and step (columns `REGIONS`)."""
    pieces, owner = first_come(_intervals(regions))
    return _coloured(pieces, _codes(regions[STATE])[owner], None, owner)


def with_unlisted(listed: Pieces, columns: RankColumns, window: tuple[int, int]) -> Pieces:
    """The bubbles with those that are not in the table: whatever is neither listed nor busy."""
    busy = union(Intervals(columns.moves_ns, columns.ends))
    known = union(busy, Intervals(listed.starts, listed.ends))
    rest = subtract(make_intervals(*([edge] for edge in window)), known)
    starts = np.concatenate([listed.starts, rest.starts])
    order = np.argsort(starts, kind="stable")
    unlisted = np.full(len(rest.starts), CODES[UNLISTED], dtype=np.uint8)
    return Pieces(
        starts[order],
        np.concatenate([listed.ends, rest.ends])[order],
        {name: np.concatenate([codes, unlisted])[order] for name, codes in listed.codes.items()},
        np.full(len(order), "", dtype=object),
    )


def _intervals(table: pd.DataFrame) -> Intervals:
    return Intervals(table[START].to_numpy(np.int64), table[END].to_numpy(np.int64))


def _coloured(
    pieces: Intervals,
    codes: Codes,
    texts: pd.Series[str] | None,
    owner: npt.NDArray[np.intp],
) -> Pieces:
    written = np.full(len(owner), "", dtype=object)
    if texts is not None:
        written = texts.to_numpy(object)[owner]
    return Pieces(pieces.starts, pieces.ends, dict.fromkeys(COLORINGS, codes), written)


COLORINGS: Sequence[str] = ("operation", "kind", "component")
