"""The difference by pipeline stage, whichever ranks hold it on either side."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from dpprof.analysis.diff.change_trees import time_tree
from dpprof.analysis.diff.memory import largest_diff
from dpprof.analysis.diff.model import StageDiff
from dpprof.analysis.diff.parts import Scale
from dpprof.analysis.diff.work_accounts import Cells
from dpprof.analysis.diff.work_rows import beside
from dpprof.analysis.model import Report
from dpprof.tables.columns import KIND, STAGE


def stage_diffs(
    cells: tuple[Cells, Cells],
    bubbles: pd.DataFrame,
    reports: tuple[Report, Report],
    scale: Scale,
) -> list[StageDiff]:
    """Every stage, and what is of no stage; empty where the sides have other stages.

    `bubbles` are those of both sides, with STAGE. All stages together are the job.
    """
    holders = [_holders(report) for report in reports]
    if not all(holders) or cells[0].stage_count != cells[1].stage_count:
        return []
    rows = beside(cells[0].work, cells[1].work, [STAGE, KIND])
    return list(_stages(rows, bubbles, (reports, holders), scale))


def _holders(report: Report) -> dict[int, list[int]]:
    return {stage.stage: stage.ranks for stage in report.stages}


def _stages(
    rows: pd.DataFrame,
    bubbles: pd.DataFrame,
    sides: tuple[tuple[Report, Report], list[dict[int, list[int]]]],
    scale: Scale,
) -> Iterator[StageDiff]:
    reports, (base, new) = sides
    held = sorted({*base, *new})
    elsewhere = [stage for stage in (*rows[STAGE], *bubbles[STAGE]) if stage not in held]
    for stage in (*held, None):
        numbers: Collection[int] = [stage] if stage is not None else set(elsewhere)
        time = time_tree(
            rows[rows[STAGE].isin(numbers)], bubbles[bubbles[STAGE].isin(numbers)], None, scale, {}
        )
        if stage is None and not (time.base_ns or time.new_ns):
            continue
        ranks = ([], []) if stage is None else (base.get(stage, []), new.get(stage, []))
        yield StageDiff(
            stage=stage,
            base_ranks=ranks[0],
            new_ranks=ranks[1],
            time=time,
            memory=None if stage is None else largest_diff(*reports, ranks),
        )
