"""The communication operations of a run, and what pages make of them, each made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from dpprof.analysis.overlap.by_operation import Exposure, exposure
from dpprof.dashboards.data.claimed import claimed
from dpprof.dashboards.data.exposure_tables import (
    BY,
    NOT_SAID,
    Grid,
    by_operation,
    layer_grid,
    of_kind,
    spread,
)
from dpprof.dashboards.data.library import Library, LibraryRun

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Operations:
    """Those of one kind, or of all (`dpprof.dashboards.data.exposure_tables.ALL`)."""

    library: Library
    run: LibraryRun
    kind: str

    @property
    def longest(self) -> pd.DataFrame:
        """Single operations, the most exposed first (columns `OPERATIONS`)."""
        return of_kind(exposure_of(self.library, self.run).longest, self.kind)

    @property
    def alike(self) -> pd.DataFrame:
        """Operations alike added up (`by_operation`)."""
        return self._kept("alike", by_operation)

    @property
    def grid(self) -> Grid | None:
        """By layer and micro-batch (`layer_grid`)."""
        return self._kept("grid", lambda table: layer_grid(claimed(table, self.run.report)))

    def spread(self, by: str) -> pd.DataFrame:
        """The distribution of their hidden share by one of `BY` (`spread`)."""
        known = self.run.report
        return self._kept(f"spread {by}", lambda table: spread(claimed(table, known), by))

    @property
    def said(self) -> tuple[str, ...]:
        """What any of them says, of `BY`."""
        return self._kept("said", _said)

    def _kept(self, what: str, make: Callable[[pd.DataFrame], _Kept]) -> _Kept:
        def made() -> _Kept:
            return make(of_kind(exposure_of(self.library, self.run).table, self.kind))

        return self.library.kept(("exposure", what, self.run.id, self.kind), made)


def exposure_of(library: Library, run: LibraryRun) -> Exposure:
    """What computing hides of the operations of a run, measured when first asked for."""
    return library.kept(("exposure", run.id), lambda: exposure(run.run))


def _said(table: pd.DataFrame) -> tuple[str, ...]:
    return tuple(by for by, labels in BY.items() if (labels(table) != NOT_SAID).any())
