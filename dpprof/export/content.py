"""What an export holds: a run with its accounts, and its tables by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

import dpprof
from dpprof.analysis.accounting.account import Accounting, account
from dpprof.runs.run import Run
from dpprof.tables.devices import rank_of

EVENTS_TABLE = "events"
TABLES = (EVENTS_TABLE, "slots", "regions", "memory", "steps", "accounting")
ABOUT_SCHEMA_VERSION = 1

_UNITS = {"*_ns": "nanoseconds", "*_bytes": "bytes", "states in accounting": "nanoseconds"}


@dataclass(frozen=True)
class Content:
    """A run; accounts it when first asked for them, which not every export needs."""

    run: Run

    @cached_property
    def accounting(self) -> Accounting:
        """Where the time of the used steps went."""
        return account(self.run)

    @property
    def ranks(self) -> list[int]:
        """The ranks present, in order."""
        return [place.rank for place in self.run.places]

    def parts(self, table: str) -> Iterator[pd.DataFrame]:
        """One of `TABLES` in parts of equal columns; the events one rank at a time.

        ``accounting`` has a row per rank and used step, and a column of nanoseconds per state.
        """
        if table == EVENTS_TABLE and self.ranks:
            yield from (self.run.held.of_rank(rank) for rank in self.ranks)
        elif table in ("regions", "accounting"):
            yield self.accounting.regions if table == "regions" else self.accounting.states
        else:
            yield getattr(self.run, table)

    def about(self) -> dict[str, Any]:
        """What the tables are of, for a reader who has only them."""
        run = self.run
        return {
            "schema_version": ABOUT_SCHEMA_VERSION,
            "dpprof": dpprof.__version__,
            "name": run.name,
            "source": run.source,
            "schedule": None if run.schedule is None else run.schedule.name,
            "ranks": self.ranks,
            "devices": {row: [rank_of(row), device] for row, device in run.devices.items()},
            "used_steps": list(run.used_steps),
            "dropped_steps": list(run.dropped_steps),
            "warnings": list(run.warnings),
            "units": dict(_UNITS),
            "not_known": {"integer columns": -1, "text columns": ""},
        }
