"""The Python interface: `load` a run, and ask the `LoadedRun` for its tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dpprof.analysis.accounting.account import Accounting, account
from dpprof.analysis.critical_path.walk import critical_path
from dpprof.analysis.report.analyze import Report, analyze
from dpprof.config.load import load_config
from dpprof.errors import DpprofError
from dpprof.findings.find import with_findings
from dpprof.runs.run import Run
from dpprof.schedules.schedule import Schedule
from dpprof.tables.columns import RANK
from dpprof.tables.kinds import STATES
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.user_rules import kind_rules
from dpprof.trace.file_names import RunPath, RunPaths
from dpprof.trace.load import load_run
from dpprof.trace.source.read_ranks import Reading

if TYPE_CHECKING:
    from dpprof.analysis.diff.model import Diff
    from dpprof.simulate.walk import Communication

__all__ = ["LoadedRun", "load"]

_TIMES = ("bubble_ns", "communication_ns", "hidden_ns", "exposed_ns", "wait_ns", "unsplit_ns")
_SHARES = ("bubble_share", "hidden_share")


def load(
    path: RunPaths,
    *,
    steps: str | None = None,
    whole_trace: bool = False,
    patterns: Sequence[KindRule] | None = None,
    snapshots: Sequence[str] = (),
    scheduler: str | None = None,
) -> LoadedRun:
    """The run at `path`: a run folder, a folder or glob of traces, one trace, several, or by rank.

    `steps` picks marked steps (``"3-5"``, ``"2,4-6"``), `whole_trace` takes everything as one
    window. `patterns` are rules for the kinds of activities, those of the configuration in force
    (``dpprof.toml``) where left out. `snapshots` are CUDA memory snapshots (FILE or RANK=FILE)
    beside those that lie with the traces. `scheduler` is a Dask cluster (``tcp://host:8786``) to
    read on. Raises `DpprofError` that names the file.
    """
    run = load_run(
        path,
        steps=steps,
        whole_trace=whole_trace,
        patterns=kind_rules(load_config().kinds) if patterns is None else tuple(patterns),
        snapshots=snapshots,
        reading=Reading(scheduler=scheduler),
    )
    return LoadedRun(run)


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run and what follows from it, computed when first asked for and then kept.

    Tables are pandas data frames with the columns of `dpprof.tables.columns`: times are integer
    nanoseconds on one clock; -1 and the empty text mean "not known". In a notebook it shows its
    report as tables; ``print(run)`` prints it.
    """

    run: Run

    @property
    def name(self) -> str:
        """The run's name, of its folder or file."""
        return self.run.name

    @property
    def source(self) -> str:
        """``captured``, ``emulated`` or ``simulated``."""
        return self.run.source

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the pipeline, None where it is neither known nor recognised."""
        return self.run.schedule

    @property
    def ranks(self) -> tuple[int, ...]:
        """The global ranks present."""
        return tuple(place.rank for place in self.run.places)

    @property
    def used_steps(self) -> tuple[int, ...]:
        """The steps that are accounted."""
        return self.run.used_steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader has to say about the traces; the report has more."""
        return self.run.warnings

    @property
    def events(self) -> pd.DataFrame:
        """One row per device activity of any rank."""
        return self.run.events

    @property
    def slots(self) -> pd.DataFrame:
        """One row per schedule slot that ran."""
        return self.run.slots

    @property
    def memory(self) -> pd.DataFrame:
        """The memory curve: one row per rank and change."""
        return self.run.memory

    @property
    def steps(self) -> pd.DataFrame:
        """The marks of the steps, one row per rank and step."""
        return self.run.steps

    @property
    def regions(self) -> pd.DataFrame:
        """The bubble regions: rank, step, interval, state, phase, and what was waited for."""
        return self._accounts.regions

    @property
    def accounting_by_step(self) -> pd.DataFrame:
        """One row per rank and used step: the step window, and nanoseconds in each state."""
        return self._accounts.states

    @cached_property
    def critical_path(self) -> pd.DataFrame:
        """The pieces of the critical path of each used step; they add up to its window."""
        return critical_path(self.run)

    @cached_property
    def accounting(self) -> pd.DataFrame:
        """One row per rank (the index), sums over the used steps.

        ``window_ns``, one column of nanoseconds per state, which add up to the window exactly,
        then bubble, communication, hidden, exposed and waiting time and the shares; NA is "not
        known".
        """
        rows = [
            {RANK: one.rank, "pp_rank": one.pp_rank, "window_ns": one.window_ns}
            | one.states_ns
            | {name: getattr(one, name) for name in (*_TIMES, *_SHARES)}
            for one in self.report().ranks
        ]
        names = [RANK, "pp_rank", "window_ns", *STATES, *_TIMES, *_SHARES]
        types = {name: "Float64" if name in _SHARES else "Int64" for name in names}
        return pd.DataFrame(rows, columns=names).astype(types).set_index(RANK)

    def report(self) -> Report:
        """The report: the same figures as ``dpprof analyze --format json``."""
        return self._report

    def simulate(
        self,
        schedule: str | None = None,
        *,
        layers: int | None = None,
        communication: Communication = "eager",
    ) -> LoadedRun:
        """One step in simulated time with the costs measured in this run.

        `schedule` is the name of another schedule for the same ranks and micro-batches, the run's
        own where left out. It cuts the run's model into its own stages, so that a step is the same
        work; `layers` of each stage make it another model. Raises `DpprofError` where the run does
        not tell what is needed, or its layers do not divide.
        """
        from dpprof.analysis.costs_from_run import costs_from_run
        from dpprof.simulate.layers import fitting_costs, same_model_layers
        from dpprof.simulate.run import simulated_run

        costs = costs_from_run(self.run, self.name)
        own, plan = self._schedules(schedule)
        notes: tuple[str, ...] = ()
        if layers is None:
            layers = same_model_layers(costs, own, plan)
        else:
            costs, notes = fitting_costs(costs, plan, layers)
        run = simulated_run(plan, costs, layers=layers, communication=communication)
        return LoadedRun(replace(run, warnings=(*run.warnings, *notes)))

    def diff(self, base: LoadedRun) -> Diff:
        """What changed from `base` to this run, and why; what ``dpprof diff`` writes as JSON.

        Raises `DpprofError` where a side has no activity.
        """
        from dpprof.analysis.diff.diff_runs import diff_runs

        return diff_runs(base.run, self.run)

    def export(self, path: RunPath, form: str, *, force: bool = False) -> Path:
        """Write the run to `path` as ``perfetto``, ``parquet`` or ``csv``; gives the path.

        What ``dpprof export`` writes; raises `DpprofError` where `path` cannot be written.
        """
        from dpprof.export import export

        place = Path(path)
        export(self.run, form, place, force=force)
        return place

    @cached_property
    def _accounts(self) -> Accounting:
        return account(self.run)

    @cached_property
    def _report(self) -> Report:
        return with_findings(self.run, analyze(self.run))

    def _schedules(self, name: str | None) -> tuple[Schedule, Schedule]:
        """The run's own schedule and the one called `name`, its own where left out."""
        own = self.schedule
        if own is None:
            raise DpprofError(
                f"{self.name}: its schedule is not known; simulate with `dpprof simulate NAME "
                "--pp N --micro-batches M --costs RUN`, which asks for the sizes"
            )
        if name is None:
            return own, own
        from dpprof.schedules.registry import make_schedule

        return own, make_schedule(name, own.pp, own.micro_batches)

    def __repr__(self) -> str:
        ranks, steps = len(self.ranks), len(self.used_steps)
        schedule = "" if self.schedule is None else f", {self.schedule.name}"
        return (
            f"<dpprof run {self.name!r}: {self.source}{schedule}, "
            f"{ranks} rank{'s' * (ranks != 1)}, {steps} step{'s' * (steps != 1)}>"
        )

    def __str__(self) -> str:
        from dpprof.reporters import render

        return render(self.report(), "table").rstrip("\n")

    def _repr_html_(self) -> str:
        from dpprof.reporters.formats.notebook import report_html

        return report_html(self.report())
