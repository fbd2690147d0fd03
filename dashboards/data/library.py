"""The runs of a dashboard: found by short ids, never by a path, and analyzed once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from dpprof.analysis.accounting.account import Accounting, account
from dpprof.analysis.diff.common_ranks import has_activity
from dpprof.analysis.diff.work_accounts import Cells, account_with_cells
from dpprof.analysis.report.analyze import Report, analyze
from dpprof.analysis.report.ideal import ideal_run
from dpprof.dashboards.data.shelf import Shelf
from dpprof.errors import DpprofError
from dpprof.runs.run import Run

Loader = Callable[[], Run]
_Kept = TypeVar("_Kept")

IDEAL = "~ideal"
"""What follows the id of a run in that of its ideal; no id of a run can hold it."""

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 40


@dataclass(frozen=True, eq=False)
class LibraryRun:
    """A run that is loaded, with its accounts and its report; `id` is its name in URLs.

    `cells` are the accounts of its work, of a run that will be compared.
    """

    id: str
    run: Run
    accounting: Accounting
    report: Report
    cells: Cells | None = None

    @property
    def name(self) -> str:
        """What people call it: its id, and that of an ideal ``ideal of <run>``."""
        ideal = self.id.endswith(IDEAL)
        return f"ideal of {self.id.removesuffix(IDEAL)}" if ideal else self.id

    @property
    def source(self) -> str:
        """``captured``, ``emulated`` or ``simulated``."""
        return self.run.source


def analyzed(id: str, run: Run, *, with_cells: bool = False) -> LibraryRun:
    """The run with its accounts and its report, and where wanted with those of its work."""
    with_cells = with_cells and has_activity(run)
    accounting, cells = account_with_cells(run) if with_cells else (account(run), None)
    return LibraryRun(id, run, accounting, analyze(run, accounting), cells)


class Progress(NamedTuple):
    """How far work is: what is made, how much of it is done, of how much."""

    what: str
    done: int
    of: int


class Library:
    """Runs by id, and whatever was computed of them; has state so that nothing is done twice.

    `ids` are the runs given and those opened since, in their order; `paths` says where those are
    that were read, `shelf` what else may be opened. Safe to be used from several threads: each
    value is computed by the first that asks, others wait for it.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        baseline: str = "",
        paths: Mapping[str, str] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        if not loaders:
            raise DpprofError("no run is given; name at least one")
        self._loaders = dict(loaders)
        self.baseline = baseline
        self.shelf = shelf
        self.watched = False
        self._paths = dict(paths or {})
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._values: dict[Hashable, Any] = {}
        self._told: dict[int, Progress] = {}

    @classmethod
    def of_runs(cls, runs: Sequence[Run], baseline: str = "") -> Library:
        """A library of runs that are in memory, under their names."""
        ids = unique_ids([run.name for run in runs])
        return cls({id: _Loaded(run) for id, run in zip(ids, runs, strict=True)}, baseline)

    @property
    def ids(self) -> tuple[str, ...]:
        """The runs that are open."""
        return tuple(self._loaders)

    def closed(self) -> dict[str, str]:
        """Id -> path of the run folders that may be opened and are not."""
        paths = [] if self.shelf is None else self.shelf.closed(list(self._paths.values()))
        return dict(zip(unique_ids(_names(paths), self.ids), paths, strict=True))

    def open(self, id: str) -> LibraryRun:
        """Open one of `closed`; it takes the last place. Raises `DpprofError` for any other."""
        path = self.closed().get(id)
        if path is None or self.shelf is None:
            raise DpprofError(f"there is no run {id[:40]!r} to open below the folders given")
        opened = analyzed(id, self.shelf.loader(path)(), with_cells=True)
        with self._lock:
            self._values["run", id] = opened
            self._paths[id] = path
            self._loaders = self._loaders | {id: _Loaded(opened.run)}
        return opened

    @property
    def all_ids(self) -> tuple[str, ...]:
        """The runs, and what the schedule of each would allow (``<run>~ideal``)."""
        return (*self.ids, *(id + IDEAL for id in self.ids))

    def get(self, id: str) -> LibraryRun:
        """The run called `id`, loaded when first asked for; raises `DpprofError` for others.

        ``<run>~ideal`` is the ideal step of a run whose schedule is known.
        """
        measured = id.removesuffix(IDEAL)
        if measured in self._loaders and measured != id:
            return self.kept(("run", id), lambda: analyzed(id, ideal_run(self.get(measured).run)))
        loader = self._loaders.get(id)
        if loader is None:
            raise DpprofError(f"there is no run {id[:40]!r}; the runs are {', '.join(self.ids)}")
        several = len(self._loaders) > 1
        return self.kept(("run", id), lambda: analyzed(id, loader(), with_cells=several))

    def cells(self, run: LibraryRun) -> Cells:
        """The accounts of the work of a run that has activity."""
        if run.cells is not None:
            return run.cells
        return self.kept(("cells", run.id), lambda: account_with_cells(run.run)[1])

    def path(self, id: str) -> str:
        """Where the run called `id` is, for a command line; the id where it came from no path."""
        return self._paths.get(id, id)

    def tell(self, what: str, done: int, of: int) -> None:
        """Say how far the work of this thread is; `kept` says when it has ended."""
        with self._lock:
            self._told[threading.get_ident()] = Progress(what, done, of)

    @property
    def progress(self) -> list[Progress]:
        """How far all work under way is that says so."""
        with self._lock:
            return list(self._told.values())

    def kept(self, key: Hashable, make: Callable[[], _Kept]) -> _Kept:
        """The value of `key`, made when first asked for; an error is not kept."""
        with self._lock:
            if key in self._values:
                return cast("_Kept", self._values[key])
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._values:
                try:
                    value = make()
                finally:
                    with self._lock:
                        self._told.pop(threading.get_ident(), None)
                with self._lock:
                    self._values[key] = value
            return cast("_Kept", self._values[key])


@dataclass(frozen=True)
class _Loaded:
    run: Run

    def __call__(self) -> Run:
        return self.run


def unique_ids(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Short ids for runs, plain enough for a URL: the name, numbered where it occurs again.

    None is among those that are `taken`.
    """
    ids: list[str] = []
    for name in names:
        plain = _NOT_PLAIN.sub("-", name).strip("-.")[:_LONGEST_ID] or "run"
        number, id = 1, plain
        while id in ids or id in taken:
            number += 1
            id = f"{plain}-{number}"
        ids.append(id)
    return ids


def path_ids(paths: Sequence[str]) -> list[str]:
    """Ids for the runs at paths: the last part of each, its parent where two are called alike."""
    return unique_ids(_names(paths))


def _names(paths: Sequence[str]) -> list[str]:
    places = [Path(path).absolute() for path in paths]
    names = [_stem(place.name) for place in places]
    return [
        f"{place.parent.name}-{name}" if names.count(name) > 1 else name
        for place, name in zip(places, names, strict=True)
    ]


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".json")
