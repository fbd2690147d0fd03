"""Every figure of a run, once: its name, label and unit, and how it is read of a report.

Gates, comparisons, the dashboard's overview and the documentation read this table; a new figure is
one entry. Times are nanoseconds per step, and where they are of ranks, the mean over the ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from dpprof.analysis.figures import KindFigures, TimeFigures
from dpprof.analysis.model import Report
from dpprof.evidence.evidence import Evidence
from dpprof.evidence.figures import touching
from dpprof.statistics.figure import Number, Unit
from dpprof.tables.kinds import COMMUNICATION_KINDS, COMPUTE_ONLY, KINDS, OVERLAP, STATES

WINDOW = "window_ns"
COMPUTING = "compute_ns"
"""Computing, communicating meanwhile or not: the states compute_only and overlap together."""
IDEAL = "ideal."
"""Before a figure: what the schedule allows with the run's own chunk times."""
PEAK = "peak_allocated_bytes"

BLOCKING_UNKNOWN = (
    "what waits for what is not in the trace: record with enable_cuda_sync_events=True, or nsys "
    "with --cuda-event-trace=true"
)
"""Why what blocks is not known."""

Scope = Literal["rank", "job"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure; `scope` says whether every rank has it, or the job alone.

    `better` is the direction that is good news: -1 for less, 1 for more, 0 for neither. One of
    the others says how it is read: `time` of the accounts of a rank in a step, of a rank or of the
    job; `ratio` names the times whose ratio it is; `memory` is a field of `MemoryFigures`; `once`
    is what a report has once. `by_step`: it is one value per step of the job.
    """

    name: str
    unit: Unit
    label: str = ""
    about: str = ""
    scope: Scope = "rank"
    better: Literal[-1, 0, 1] = -1
    time: Callable[[TimeFigures], int | None] | None = None
    ratio: tuple[str, str] | None = None
    memory: str = ""
    once: Callable[[Report], Number | str | None] | None = None
    by_step: bool = False

    def of(self, report: Report) -> Any:
        """Its value for the job; None where it is not known."""
        if self.once is not None:
            return self.once(report)
        if self.memory:
            return _largest(report, self.memory)
        if self.ratio is not None:
            part, whole = (METRICS[name].whole(report) for name in self.ratio)
            return None if part is None or not whole or self.unclaimed(report) else part / whole
        return mean_ns(report, self.whole(report))

    def carried(self, report: Report) -> Any:
        """Its value as views show it; None too where evidence for it is missing.

        Waiting that is known in part stays: a bound says so.
        """
        in_part = self.name == "wait_ns" and report.total.unsplit_ns > 0
        return None if self.lacking(report) and not in_part else self.of(report)

    def lacking(self, report: Report) -> list[Evidence]:
        """The evidence that is missing for it."""
        return touching(report.evidence, self.name)

    def whole(self, report: Report) -> int | None:
        """A time of all ranks and used steps together; None where it is not known."""
        return None if self.time is None else self.time(report.total)

    def unclaimed(self, report: Report) -> str:
        """Why the report does not claim a hidden share; empty for everything else."""
        kind, _, name = self.name.rpartition(".")
        if name != "hidden_share" or kind == _INCLUDING:
            return ""
        figures = report.total.by_kind.get(kind) if kind else report.total
        return (figures.hidden_reason if figures is not None else None) or ""


_INCLUDING = "including_wait"


def mean_ns(report: Report, total_ns: int | None) -> float | None:
    """Per rank and step, from a sum over both; None where it is not known."""
    count = len(report.ranks) * len(report.per_step)
    return None if total_ns is None or not count else total_ns / count


def _largest(report: Report, name: str) -> int | None:
    """Memory of the job: the most that any rank has."""
    known = [getattr(rank.memory, name) for rank in report.ranks]
    return max((value for value in known if value is not None), default=None)


def _computing(figures: TimeFigures) -> int:
    return figures.states_ns[COMPUTE_ONLY] + figures.states_ns[OVERLAP]


def _of_state(state: str) -> Callable[[TimeFigures], int | None]:
    return lambda figures: figures.states_ns[state]


def _of_kind(kind: str, name: str) -> Callable[[TimeFigures], int | None]:
    def read(figures: TimeFigures) -> int | None:
        own: KindFigures | None = figures.by_kind.get(kind)
        value: int | None = 0 if own is None else getattr(own, name)
        return value

    return read


def _time(name: str, label: str, about: str = "", **more: Any) -> Metric:
    return Metric(
        name=name, unit="ns", label=label, about=about, **{"time": attrgetter(name)} | more
    )


_KIND_TIMES = ("total_ns", "hidden_ns", "exposed_ns", "wait_ns", "unsplit_ns", "blocking_ns")
_WAIT_WORDS = {"wait_ns": "waiting", "total_ns": "transfers", "unsplit_ns": "not separated"}


def _better(state: str) -> Any:
    """Idle and exposed time is to be little; how a rank computes is no question of more or less."""
    return -1 if state.startswith(("bubble.", "exposed.")) else 0


def _times() -> Iterator[Metric]:
    yield _time(WINDOW, "window")
    yield _time(
        "bubble_ns", "bubble", "Time in which a rank neither computes, transfers nor copies"
    )
    yield _time("communication_ns", "communication", better=0)
    yield _time("hidden_ns", "hidden communication", better=1)
    yield _time(
        "exposed_ns",
        "exposed communication",
        "A transfer is under way and the rank does not compute",
    )
    yield _time(
        "wait_ns",
        "waiting for peers",
        "At least one communication waits for its peers: it does not transfer, and the rank may "
        "compute meanwhile. At least: operations that were not matched with their peers' count as "
        "transfer",
        better=0,
    )
    yield _time(
        "blocking_ns",
        "blocking communication",
        "Other work of the device waits for a transfer that is under way, exposed or not; n/a "
        "where the trace does not record waits of streams",
    )
    yield _time(COMPUTING, "computing", time=_computing, better=0)
    yield _time("unsplit_ns", "wait not separated", better=0)
    for name in ("communication_ns", "hidden_ns"):
        yield _time(f"{_INCLUDING}.{name}", f"{name[:-3]} including wait", better=0)
    for state in STATES:
        label, better = state.partition(".")[2] or state, _better(state)
        yield _time(f"{state}_ns", label, time=_of_state(state), better=better)
    for kind in COMMUNICATION_KINDS:
        for name in _KIND_TIMES:
            label = f"{kind} {_WAIT_WORDS.get(name, name[:-3])}"
            better = {"hidden_ns": 1, "exposed_ns": -1, "blocking_ns": -1}.get(name, 0)
            yield _time(f"{kind}.{name}", label, time=_of_kind(kind, name), better=better)


def _share(
    name: str, part: str, whole: str, label: str, about: str = "", better: Any = -1
) -> Metric:
    ratio = (part, whole)
    return Metric(name=name, unit="share", label=label, about=about, ratio=ratio, better=better)


def _shares() -> Iterator[Metric]:
    yield _share(
        "hidden_share",
        "hidden_ns",
        "communication_ns",
        "hidden share",
        "Transfers that run while the rank computes, of all transfers",
        better=1,
    )
    whole = f"{_INCLUDING}.hidden_ns", f"{_INCLUDING}.communication_ns"
    yield _share(f"{_INCLUDING}.hidden_share", *whole, "hidden share including wait", better=1)
    yield _share("bubble_share", "bubble_ns", WINDOW, "bubble share", _BUBBLE_SHARE)
    yield _share("exposed_share", "exposed_ns", WINDOW, "exposed share")
    yield _share("compute_share", COMPUTING, WINDOW, "computing share", better=0)
    for state in STATES:
        times = f"{state}_ns", WINDOW
        yield _share(f"{state}_share", *times, f"{state} share", better=_better(state))
    for kind in COMMUNICATION_KINDS:
        times = f"{kind}.hidden_ns", f"{kind}.total_ns"
        yield _share(f"{kind}.hidden_share", *times, f"{kind} hidden share", better=1)


_BUBBLE_SHARE = (
    "Time in which a rank neither computes, transfers nor copies, of the step; mean of the ranks"
)


def _memory() -> Iterator[Metric]:
    yield Metric(
        name=PEAK,
        unit="bytes",
        label="peak memory",
        about="The most bytes allocated on any rank",
        memory=PEAK,
    )
    for part in ("peak_reserved", "parameter", "gradient", "optimizer", "activation"):
        name = f"{part}_bytes"
        yield Metric(name=name, unit="bytes", label=part.replace("_", " "), memory=name)
    for part in ("communication", "rest"):
        yield Metric(name=f"{part}_bytes", unit="bytes", label=part, memory=f"{part}_bytes")


def _once(
    name: str, unit: Unit, read: Callable[[Report], Any], label: str = "", **more: Any
) -> Metric:
    return Metric(name=name, unit=unit, label=label, scope="job", once=read, **more)


def _steps() -> Iterator[Metric]:
    yield _once(
        "step_ns",
        "ns",
        attrgetter("step_ns"),
        "step time",
        about="The job's window of a step, on the common clock: steps that follow each other leave "
        "no gap, so what happens between them is in it; mean of the used steps",
        by_step=True,
    )
    yield _once("slowest_step_ns", "ns", lambda report: extreme(report, max), "slowest step")
    yield _once("fastest_step_ns", "ns", lambda report: extreme(report, min), "fastest step")
    for name, label in (("tokens_per_second", "tokens/s"), ("model_flops_per_second", "FLOP/s")):
        yield _once(
            name, "rate", attrgetter(name), label, better=1, by_step=True, about=_RATES[name]
        )


_RATES = {
    "tokens_per_second": "Tokens of a step over the step time",
    "model_flops_per_second": "Floating-point operations of the model in a step over the step time",
}


def extreme(report: Report, choose: Callable[[list[int]], int]) -> int | None:
    """The shortest or longest step; None where there is none."""
    windows = [step.window_ns for step in report.per_step]
    return choose(windows) if windows else None


def _ideal_bubble(report: Report) -> int | None:
    if report.ideal is None or not report.ideal.ranks:
        return None
    total = sum(rank.bubble_ns for rank in report.ideal.ranks)
    return round(total / len(report.ideal.ranks) / report.ideal.steps)


def _of_ideal(name: str) -> Callable[[Report], int | None]:
    def read(report: Report) -> int | None:
        total = None if report.ideal is None else getattr(report.ideal, name)
        return None if report.ideal is None or total is None else round(total / report.ideal.steps)

    return read


def _on_path(kind: str) -> Callable[[Report], int | None]:
    def read(report: Report) -> int | None:
        if report.critical_path is None or kind not in report.critical_path.by_kind_ns:
            return None
        return round(report.critical_path.by_kind_ns[kind] / report.steps.used)

    return read


def _ideals() -> Iterator[Metric]:
    yield _once(f"{IDEAL}step_ns", "ns", _of_ideal("window_ns"), "ideal step time", better=0)
    closed = _of_ideal("closed_form_ns")
    yield _once(f"{IDEAL}closed_form_ns", "ns", closed, "bubble of the closed form", better=0)
    for kind in (*KINDS, "host", "idle"):
        yield _once(f"critical_path.{kind}_ns", "ns", _on_path(kind), f"critical path {kind}")


def _counts() -> Iterator[Metric]:
    readers: dict[str, Callable[[Report], Any]] = {
        "ranks": lambda report: len(report.ranks),
        "world_size": attrgetter("world_size"),
        "steps": attrgetter("steps.used"),
        "pp": attrgetter("pp"),
        "micro_batches": attrgetter("micro_batches"),
        "warnings": lambda report: len(report.warnings),
    }
    for name, read in readers.items():
        yield _once(name, "count", read, name.replace("_", " "), better=0)
    for name in ("source", "schedule", "device"):
        yield _once(name, "text", attrgetter(name), name, better=0)


def _every() -> Iterator[Metric]:
    yield from _steps()
    yield from _times()
    yield from _shares()
    yield from _memory()
    yield Metric(name=f"{IDEAL}bubble_ns", unit="ns", label="ideal", once=_ideal_bubble, better=0)
    yield from _ideals()
    yield from _counts()


METRICS: dict[str, Metric] = {metric.name: metric for metric in _every()}
"""Every figure by its name, in reading order."""
