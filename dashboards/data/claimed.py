"""Which of a run's overlap is claimed at all: what is n/a must not be drawn as 0 %."""

from __future__ import annotations

import pandas as pd

from dpprof.analysis.model import Report
from dpprof.tables.columns import KIND


def unclaimed_kinds(report: Report) -> frozenset[str]:
    """The kinds of communication of which nobody can say how much is hidden."""
    kinds = report.total.by_kind
    found = frozenset(kind for kind, figures in kinds.items() if figures.hidden_reason)
    return found or (frozenset(kinds) if report.total.hidden_reason else frozenset())


def unclaimed_reason(report: Report, kind: str) -> str:
    """Why the hidden share of a kind is n/a; empty where it is known."""
    if kind not in unclaimed_kinds(report):
        return ""
    return report.total.by_kind[kind].hidden_reason or report.total.hidden_reason or ""


def claimed(table: pd.DataFrame, report: Report) -> pd.DataFrame:
    """The operations of a table whose hidden share is known."""
    unclaimed = unclaimed_kinds(report)
    return table[~table[KIND].astype(str).isin(unclaimed)] if unclaimed else table
