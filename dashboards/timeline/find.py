"""Search in the picture: slots, activities, bubbles and ranks that a text names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.dashboards.data.library import Library
from dpprof.dashboards.timeline.hit_test import BUBBLE, EVENT, SLOT, Recent, table_of
from dpprof.dashboards.timeline.legend import WORDS
from dpprof.dashboards.timeline.scene import Scene, SceneRun
from dpprof.dashboards.view.state import Selection
from dpprof.dashboards.view.words import CAUSE_ABOUT
from dpprof.tables.columns import CAUSE, COMPONENT, END, KIND, NAME, START, STATE
from dpprof.tables.columns import SLOT as SLOT_COLUMN

_WHAT = (SLOT, BUBBLE, EVENT)
_LONGEST = re.compile(r"(?:longest|slowest) (.+)")
_RANK = re.compile(r"rank\s*(\d{1,9})", re.ASCII)
_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """What was found, in order of time or the longest first: its start in the step, and its place.

    `runs` are positions among the runs of the picture, `what` in slot, bubble, event; `rows` is the
    position in the table of `table_of`.
    """

    starts: _Numbers
    runs: _Numbers
    ranks: _Numbers
    what: _Numbers
    rows: _Numbers

    def __len__(self) -> int:
        return len(self.starts)

    def selection(self, library: Library, scene: Scene, number: int) -> Selection:
        """What the URL says of the match at a position."""
        run, rank = scene.runs[int(self.runs[number])], int(self.ranks[number])
        what, row = _WHAT[int(self.what[number])], int(self.rows[number])
        starts = table_of(library, run, rank, what)[START].to_numpy()
        same = int((starts[:row] == starts[row]).sum())
        return Selection(what, run.run.id, rank, int(self.starts[number]), same)

    def place(self, library: Library, scene: Scene, selection: Selection | None) -> int:
        """The position of a selection among the matches; -1 where it is none of them."""
        ids = [run.run.id for run in scene.runs]
        if selection is None or selection.run not in ids:
            return -1
        alike = (self.starts == selection.at_ns) & (self.ranks == selection.rank)
        alike &= (self.runs == ids.index(selection.run)) & (
            self.what == _WHAT.index(selection.what)
        )
        for place in np.flatnonzero(alike).tolist():
            if self.selection(library, scene, place) == selection:
                return int(place)
        return -1

    def columns(self, whole_ns: int, number: int) -> list[int]:
        """Where they are, for marks above the picture: pixels of a row of so many."""
        found: list[int] = np.unique(self.starts * number // max(1, whole_ns)).tolist()
        return found


def matches(library: Library, scene: Scene, text: str) -> Matches:
    """Everything in the steps that are shown which a text names; the case does not matter.

    ``rank 3`` finds where that rank begins. ``longest dispatch`` (or ``slowest``) finds what the
    rest of the text names, the longest first. All else is looked for in the names of slots, in the
    names, components and kinds of activities, and in the words and causes of bubbles.
    """
    wanted = " ".join(text.split()).casefold()
    shown = tuple((run.run.id, run.step, run.ranks) for run in scene.runs)
    recent: Recent[Matches] = library.kept("recent searches", lambda: Recent(8))
    return recent.get((wanted, shown), lambda: _matches(library, scene, wanted))


def _matches(library: Library, scene: Scene, wanted: str) -> Matches:
    longest = _LONGEST.fullmatch(wanted)
    wanted = longest[1] if longest else wanted
    rank = _RANK.fullmatch(wanted)
    look = (lambda run: _rank(library, run, int(rank[1]))) if rank else None
    parts = [
        np.column_stack([found[:, :1], np.full(len(found), number), found[:, 1:]])
        for number, run in enumerate(scene.runs)
        if wanted
        for found in (look(run) if look else _in_run(library, run, wanted))
    ]
    table = np.concatenate([np.zeros((0, 5), np.int64), *parts])
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
    return Matches(*(_longest_first(library, scene, table) if longest else table).T)


def _longest_first(library: Library, scene: Scene, table: _Numbers) -> _Numbers:
    """The activities among what was found, or all of it where there is none, by their lengths."""
    activities = table[:, 3] == _WHAT.index(EVENT)
    table = table[activities] if activities.any() else table
    lengths = np.zeros(len(table), np.int64)
    for number, rank, what in np.unique(table[:, 1:4], axis=0).tolist():
        own = (table[:, 1:4] == (number, rank, what)).all(axis=1)
        held = table_of(library, scene.runs[number], rank, _WHAT[what])
        lengths[own] = (held[END] - held[START]).to_numpy()[table[own, 4]]
    return table[np.argsort(-lengths, kind="stable")]


def _rank(library: Library, run: SceneRun, rank: int) -> Iterator[_Numbers]:
    """The first slot of a rank, or its first activity."""
    for what in (SLOT, EVENT):
        table = table_of(library, run, rank, what)
        if rank in run.ranks and len(table):
            yield _found(table, run, (rank, what), table[START].to_numpy() == table[START].min())
            return


def _in_run(library: Library, run: SceneRun, wanted: str) -> Iterator[_Numbers]:
    for rank in run.ranks:
        slots = table_of(library, run, rank, SLOT)
        yield _found(slots, run, (rank, SLOT), _holds(slots[SLOT_COLUMN], wanted))
        bubbles = table_of(library, run, rank, BUBBLE)
        hits = _holds(bubbles[STATE], wanted) | _holds(bubbles[CAUSE], wanted)
        yield _found(bubbles, run, (rank, BUBBLE), hits)
    key = ("names to find", run.run.id, run.step)
    names = library.kept(key, lambda: Names.of(library, run))
    found = names.found(wanted)
    yield found[np.isin(found[:, 1], run.ranks)]


def _found(
    table: pd.DataFrame, run: SceneRun, of: tuple[int, str], hits: npt.NDArray[np.bool_]
) -> _Numbers:
    rows = np.flatnonzero(hits)
    starts = table[START].to_numpy()[rows] - run.origin_ns
    rank, what = (np.full(len(rows), one) for one in (of[0], _WHAT.index(of[1])))
    return np.column_stack([starts, rank, what, rows]).astype(np.int64)


def _holds(column: pd.Series[str], wanted: str) -> npt.NDArray[np.bool_]:
    codes, values = pd.factorize(column)
    texts = [str(value) for value in values]
    hits = [
        wanted in f"{text}\n{WORDS.get(text, '')}\n{CAUSE_ABOUT.get(text, '')}".casefold()
        for text in texts
    ]
    return np.array([*hits, False], dtype=bool)[codes]


@dataclass(frozen=True)
class Names:
    """The activities of a step by what they can be found by; made once, as reading takes time."""

    texts: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    rows: _Numbers

    @classmethod
    def of(cls, library: Library, run: SceneRun) -> Names:
        """Those of all ranks of a run in the step that is shown."""
        texts: dict[str, int] = {}
        codes, rows = [np.zeros(0, np.int32)], [np.zeros((0, 4), np.int64)]
        every = sorted(place.rank for place in run.run.run.places)
        for done, rank in enumerate(every):
            library.tell(f"names of {run.run.id}", done, len(every))
            table = table_of(library, run, rank, EVENT)
            own, values = _labels(table)
            known = [texts.setdefault(value.casefold(), len(texts)) for value in values]
            codes.append(np.array([*known, -1], np.int32)[own])
            rows.append(_found(table, run, (rank, EVENT), np.ones(len(table), dtype=bool)))
        return cls(tuple(texts), np.concatenate(codes), np.concatenate(rows))

    def found(self, wanted: str) -> _Numbers:
        """Start, rank, what and row of those whose text holds what is wanted."""
        hits = np.array([wanted in text for text in self.texts] + [False], dtype=bool)
        found: _Numbers = self.rows[hits[self.codes]]
        return found


def _labels(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], list[str]]:
    """For each activity the position of its text: name, component and kind."""
    parts = [pd.factorize(table[name]) for name in (NAME, COMPONENT, KIND)]
    joined = np.zeros(len(table), np.int64)
    for codes, values in parts:
        joined = joined * (len(values) + 1) + codes + 1
    _, first, own = np.unique(joined, return_index=True, return_inverse=True)
    columns = [table[name].astype(str).to_numpy()[first] for name in (NAME, COMPONENT, KIND)]
    return own, ["\n".join(texts) for texts in zip(*columns, strict=True)]
