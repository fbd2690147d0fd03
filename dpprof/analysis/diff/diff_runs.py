"""Compares two runs: what changed from one to the other, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.analysis.diff.align_work import AlignedWork, align
from dpprof.analysis.diff.bubbles import bubbles_beside
from dpprof.analysis.diff.change_trees import operation_tree, time_tree, work_tree
from dpprof.analysis.diff.common_ranks import CommonRanks, comparable
from dpprof.analysis.diff.contributors import kernel_calls, kernel_diffs, slot_diffs
from dpprof.analysis.diff.effects import effects
from dpprof.analysis.diff.kernel_matching import Match, match_names
from dpprof.analysis.diff.memory import largest_diff, peak_diff
from dpprof.analysis.diff.model import Diff, DiffSide, Effect, Part, RankDiff
from dpprof.analysis.diff.part_names import CRITICAL_PATH
from dpprof.analysis.diff.parts import Scale, common_count, present, whole
from dpprof.analysis.diff.setup_differences import differs, notes
from dpprof.analysis.diff.stages import stage_diffs
from dpprof.analysis.diff.step_samples import samples, step_count, too_few
from dpprof.analysis.diff.theory import theory_diffs
from dpprof.analysis.diff.work_accounts import Cells, account_with_cells
from dpprof.analysis.diff.work_labels import Labels
from dpprof.analysis.diff.work_rows import classify, compare, without_moves
from dpprof.analysis.model import Report
from dpprof.analysis.report.analyze import analyze
from dpprof.analysis.slow_slots import newly_slow
from dpprof.runs.run import Run
from dpprof.tables.columns import CAUSE_RANK, RANK


class RunAccounts(NamedTuple):
    """What is known of a whole run before it is compared: its report and its work."""

    report: Report
    cells: Cells


def diff_runs(base: Run, new: Run, known: tuple[RunAccounts, RunAccounts] | None = None) -> Diff:
    """What changed from `base` to `new`: every difference adds up to the nanosecond.

    Runs of other schedules, sizes, ranks and steps are compared as far as they have something in
    common; `notes` say what was done for that. `known` are the accounts of both, where they are at
    hand. Reads the events of one rank at a time. Raises `DpprofError` where a side has no activity.
    """
    sides = comparable(base, new)
    first, second = (
        known[side] if known is not None and run is whole else _accounts(run)
        for side, (run, whole) in enumerate(((sides.base, base), (sides.new, new)))
    )
    reports, cells = (first.report, second.report), (first.cells, second.cells)
    return _Comparison(sides, reports, cells).diff()


def _accounts(run: Run) -> RunAccounts:
    accounting, cells = account_with_cells(run)
    return RunAccounts(analyze(run, accounting), cells)


@dataclass(frozen=True)
class _Comparison:
    """Two runs with their reports and accounts; what follows is worked out when asked for."""

    sides: CommonRanks
    reports: tuple[Report, Report]
    cells: tuple[Cells, Cells]

    def diff(self) -> Diff:
        """All of it."""
        base, new = self._both
        counts = self._counts
        return Diff(
            base=_side(*base, counts[0]),
            new=_side(*new, counts[1]),
            steps=self._steps[0],
            rank_count=self._ranks[0],
            differs=differs(base, new),
            notes=[*self.sides.notes, *notes(base, new), *filter(None, [self._aligned.known.note])],
            alignment=self._aligned.known,
            unknown_effects=self._unknown_effects,
            time=self._time,
            work=work_tree(without_moves(self._classed), self._scale),
            operations=operation_tree(self._rows, self._scale),
            critical_path=self._path(),
            ranks=self._rank_diffs(),
            stages=stage_diffs(self.cells, self._idle, self.reports, self._scale),
            slots=slot_diffs(self._rows, self._aligned, self._scale),
            slow_slots=newly_slow(self.reports[0].slow_slots, self.reports[1].slow_slots),
            kernels=kernel_diffs(*self.cells, self._matches, self._scale),
            memory=largest_diff(*self.reports),
            theory=theory_diffs(base, new),
        )

    @property
    def _both(self) -> tuple[tuple[Run, Report], tuple[Run, Report]]:
        return (self.sides.base, self.reports[0]), (self.sides.new, self.reports[1])

    @cached_property
    def _counts(self) -> tuple[int, int]:
        base, new = self.cells
        return step_count(base), step_count(new)

    @cached_property
    def _unknown_effects(self) -> str:
        return too_few(self._counts, (self.sides.base.source, self.sides.new.source))

    @cached_property
    def _steps(self) -> tuple[int, Scale]:
        return common_count(*self._counts)

    @cached_property
    def _ranks(self) -> tuple[int, Scale]:
        return common_count(len(self.sides.base.places), len(self.sides.new.places))

    @property
    def _scale(self) -> Scale:
        """From each side's sums to those over all steps and ranks."""
        steps, ranks = self._steps[1], self._ranks[1]
        return Scale(steps.base * ranks.base, steps.new * ranks.new)

    @cached_property
    def _matches(self) -> list[Match]:
        base, new = self.cells
        return match_names(kernel_calls(base, self._scale.base), kernel_calls(new, self._scale.new))

    @cached_property
    def _aligned(self) -> AlignedWork:
        return align(*self.cells, self._matches)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        return compare(self._aligned, self.sides.pairs)

    @cached_property
    def _classed(self) -> pd.DataFrame:
        return classify(self._rows, self._scale)

    @cached_property
    def _bubbles(self) -> pd.DataFrame:
        labels = (Labels.of(self.sides.base), Labels.of(self.sides.new))
        return bubbles_beside(*self.cells, labels, self.sides.pairs)

    @cached_property
    def _idle(self) -> pd.DataFrame:
        """The bubbles by cause, whoever the peer is."""
        return self._bubbles.drop(columns=CAUSE_RANK)

    @cached_property
    def _effects(self) -> dict[str, Effect]:
        base, new = self.cells
        if self._unknown_effects:
            return {}
        sources = (self.sides.base.source, self.sides.new.source)
        return effects(samples(base), samples(new), sources)

    @cached_property
    def _time(self) -> Part:
        classed = without_moves(self._classed)
        return time_tree(self._rows, self._idle, classed, self._scale, self._effects)

    def _rank_diffs(self) -> list[RankDiff]:
        tables = (self._rows, self._bubbles, self._classed)
        parts = [_by_rank(table) for table in tables]
        return [
            self._rank(pair, [part.get(pair[1], part[_NO_RANK]) for part in parts])
            for pair in self.sides.pairs
        ]

    def _rank(self, pair: tuple[int, int], tables: list[pd.DataFrame]) -> RankDiff:
        base, new = (
            next(one for one in report.ranks if one.rank == rank)
            for report, rank in zip(self.reports, pair, strict=True)
        )
        rows, idle, own = tables
        scale = self._steps[1]
        return RankDiff(
            base_rank=pair[0],
            new_rank=pair[1],
            base_stages=base.stages,
            new_stages=new.stages,
            time=time_tree(rows, idle, None, scale, {}),
            work=work_tree(own, scale),
            memory=peak_diff(base.memory, new.memory, pair),
        )

    def _path(self) -> Part | None:
        base, new = (report.critical_path for report in self.reports)
        if base is None or new is None:
            return None
        kinds = dict.fromkeys((*base.by_kind_ns, *new.by_kind_ns))
        scale = self._steps[1]
        parts = [
            scale.part(kind, base.by_kind_ns.get(kind, 0), new.by_kind_ns.get(kind, 0))
            for kind in kinds
        ]
        return whole(CRITICAL_PATH, present(parts))


_NO_RANK = -1


def _by_rank(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The rows of each rank; of `_NO_RANK` none."""
    ranks = table[RANK].to_numpy()
    order = np.argsort(ranks, kind="stable")
    present, first = np.unique(ranks[order], return_index=True)
    parts = zip(present.tolist(), np.split(order, first[1:]), strict=False)
    return {_NO_RANK: table.iloc[:0]} | {rank: table.iloc[rows] for rank, rows in parts}


def _side(run: Run, report: Report, steps: int) -> DiffSide:
    return DiffSide(
        name=report.name,
        source=report.source,
        schedule=report.schedule,
        pp=report.pp,
        micro_batches=report.micro_batches,
        world_size=report.world_size,
        device=report.device,
        ranks=[rank.rank for rank in report.ranks],
        steps=steps,
        step_ns=report.window_ns / steps,
        unsplit_ns=report.total.unsplit_ns / steps / max(len(report.ranks), 1),
        tokens_per_second=report.tokens_per_second,
        evidence=report.evidence,
        warnings=report.warnings,
    )
