"""Runs and baselines as a history: their figures, what the gate says of them, what got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from dpprof.dashboards.data.headline import LACKING, Headline, headlines
from dpprof.dashboards.data.library import Library, LibraryRun
from dpprof.errors import DpprofError
from dpprof.evidence.figures import touching
from dpprof.gate.files import read_baseline
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.measure import Measured, take_snapshot
from dpprof.gate.snapshot import FigureSnapshot, sampling
from dpprof.statistics.difference import Difference, difference
from dpprof.statistics.figure import Unit


@dataclass(frozen=True)
class HistoryMetric:
    """A figure of the gate as a history shows it.

    `better` is the direction of good news, `headline` the id of the report's headline figure.
    """

    label: str
    unit: Unit
    better: int
    headline: str


METRICS: Mapping[str, HistoryMetric] = MappingProxyType(
    {
        "step_ns": HistoryMetric("step time", "ns", -1, "step-time"),
        "bubble_share": HistoryMetric("bubble", "share", -1, "bubble"),
        "hidden_share": HistoryMetric("hidden", "share", 1, "hidden"),
        "exposed_ns": HistoryMetric("exposed", "ns", -1, "exposed"),
        "peak_allocated_bytes": HistoryMetric("peak memory", "bytes", -1, "memory"),
        "tokens_per_second": HistoryMetric("tokens/s", "rate", 1, "throughput"),
    }
)
"""The headline figures, by their names in rules of the gate."""


@dataclass(frozen=True)
class Entry:
    """A run or a baseline file; `snapshot` is None, and `reason` says why, where it has none.

    `id` is that of the run that is open, empty for a file. `created` is ISO 8601. `figures` are
    those of `METRICS` as the run's report has them; of a file the means over its steps.
    """

    id: str
    name: str
    source: str
    schedule: str
    sizes: str
    device: str
    commit: str
    created: str
    snapshot: FigureSnapshot | None
    reason: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)

    def knows(self, metric: str) -> bool:
        """Whether it has the figure, and the evidence for it."""
        known = self.snapshot is not None and metric in self.snapshot.job
        return known and self.figures.get(metric) is not None

    def why_not(self, metric: str) -> str:
        """Why it does not know the figure."""
        if self.snapshot is not None and touching(self.snapshot.evidence, metric):
            return LACKING
        missing = {} if self.snapshot is None else self.snapshot.missing
        return self.reason or missing.get(metric, "not known from its traces")


def run_entries(library: Library) -> list[Entry]:
    """The runs that are open, in the order in which they were made."""
    entries = [_run_entry(library, library.get(id)) for id in library.ids]
    return sorted(entries, key=lambda one: one.created)


def file_entries(paths: Sequence[str]) -> list[Entry]:
    """Baseline files; one that cannot be read says why."""
    return [_file_entry(path) for path in paths]


def _run_entry(library: Library, run: LibraryRun) -> Entry:
    report, manifest = run.report, run.run.manifest
    entry = Entry(
        id=run.id,
        name=run.id,
        source=run.source,
        schedule=report.schedule or "",
        sizes=_sizes(report.pp, report.micro_batches, report.world_size),
        device=(manifest.device_name or manifest.device) if manifest else report.device or "",
        commit=(manifest.commit or "") if manifest else "",
        created=manifest.created if manifest else "",
        snapshot=None,
        figures=_figures(headlines(report)),
    )
    try:
        snapshot = library.kept(
            ("snapshot", run.id), lambda: take_snapshot([Measured(run.run, run.report)])
        )
    except DpprofError as error:
        return replace(entry, reason=str(error))
    return replace(entry, snapshot=snapshot)


def _file_entry(path: str) -> Entry:
    nothing = Entry("", Path(path).name, "", "", "", "", "", "", None)
    try:
        snapshot = read_baseline(Path(path))
    except DpprofError as error:
        return replace(nothing, reason=str(error))
    own = snapshot.identity
    return replace(
        nothing,
        source=own.source,
        schedule=own.schedule or "",
        sizes=_sizes(own.pp, own.micro_batches, own.world_size),
        device=own.device_name or own.device or "",
        created=snapshot.created,
        snapshot=snapshot,
        figures={name: _mean(snapshot, name) for name in METRICS},
    )


def _figures(found: Sequence[Headline]) -> dict[str, float | None]:
    values = {one.id: one.value for one in found}
    return {name: values.get(metric.headline) for name, metric in METRICS.items()}


def _mean(snapshot: FigureSnapshot, name: str) -> float | None:
    figure = snapshot.job.get(name)
    if touching(snapshot.evidence, name):
        return None
    return None if figure is None or isinstance(figure.mean, str) else float(figure.mean)


def _sizes(pp: int | None, micro_batches: int | None, ranks: int) -> str:
    known = [f"PP {pp}"] if pp is not None else []
    known += [f"{micro_batches} mb"] if micro_batches is not None else []
    return ", ".join([*known, f"{ranks} rank{'s' * (ranks != 1)}"])


@dataclass(frozen=True)
class GateVerdict:
    """What the gate's default rules say of a run beside the baseline, and about what."""

    word: str
    about: str


def verdict(entry: Entry, base: Entry | None) -> GateVerdict:
    """``passed``, ``failed``, ``cannot tell``; empty for the baseline itself or without one."""
    if base is None or base.snapshot is None or entry.snapshot is None or entry is base:
        return GateVerdict("", entry.reason)
    try:
        result = gate(entry.snapshot, [], Baseline(name=base.name, snapshot=base.snapshot))
    except DpprofError as error:
        return GateVerdict("not comparable", str(error))
    broken = [one.rule for one in result.rules if one.status in ("failed", "missing")]
    if broken:
        return GateVerdict("failed", f"broken beside {base.name}: {'; '.join(broken)}")
    if result.cannot_tell:
        return GateVerdict("cannot tell", "figures lack evidence")
    return GateVerdict("passed", f"beside {base.name}, by the default rules")


@dataclass(frozen=True)
class Point:
    """A run in the history of a metric; `change` is from the one before of the same thing."""

    entry: Entry
    value: float
    change: Difference | None

    @property
    def worse(self) -> int:
        """1 where the change is upwards beyond chance, -1 where downwards, else 0."""
        return 0 if self.change is None else beyond_chance(self.change)


def beyond_chance(change: Difference) -> int:
    """1 where the interval of the change holds no 0, upwards; -1 downwards; else 0."""
    interval = change.interval
    if interval is None or interval[0] <= 0 <= interval[1]:
        return 0
    return 1 if interval[0] > 0 else -1


def trends(entries: Sequence[Entry], metric: str) -> dict[str, list[Point]]:
    """The history of a metric: a series for each thing that was run more than once, or once.

    What has the same schedule, sizes, device and source is the same thing. Runs come in the order
    in which they were made; those that do not know the figure are left out.
    """
    series: dict[str, list[Point]] = {}
    for entry in entries:
        if entry.snapshot is None or not entry.knows(metric):
            continue
        points = series.setdefault(_thing(entry), [])
        figure = entry.snapshot.job[metric]
        value = figure.typical if isinstance(figure.typical, int | float) else 0.0
        change = change_between(points[-1].entry, entry, metric) if points else None
        points.append(Point(entry, float(value), change))
    return series


def _thing(entry: Entry) -> str:
    known = (entry.schedule or "schedule not known", entry.sizes, entry.device, entry.source)
    return ", ".join(filter(None, known))


def change_between(before: Entry, after: Entry, metric: str) -> Difference:
    """The change of a figure that both know, with its interval."""
    unit = METRICS[metric].unit
    assert before.snapshot is not None
    assert after.snapshot is not None
    own, other = after.snapshot.job[metric], before.snapshot.job[metric]
    return difference(
        own,
        sampling(after.snapshot, unit, own.typical),
        other,
        sampling(before.snapshot, unit, other.typical),
    )
