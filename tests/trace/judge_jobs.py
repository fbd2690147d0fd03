"""What is true of a random job, painted microsecond by microsecond, and if a report says it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.evidence.figures import touching
from dpprof.tables.devices import device_of, rank_of
from dpprof.trace.activities.unread_rows import UNREADABLE
from dpprof.trace.load import load_run
from tests.trace.random_jobs import Activity, Job
from tests.trace.tell_jobs import at_clock, lost, write

RIGHT, PARTLY, REFUSED, WRONG = "right", "n/a or at least", "refused", "wrong and silent"
_OFF = ("offset", "drift", "jump")
_SAID_OF_CLOCKS = {"clocks", "clock-jump", "device-clock", "before-launch", UNREADABLE}
_AT_MOST = ("exposed_ns", "hidden_ns")
_AT_LEAST = ("bubble_ns", "wait_ns")


class Verdict(NamedTuple):
    """How a job was judged, and what was wrong."""

    word: str
    wrong: tuple[str, ...] = ()


def judged(job: Job) -> Verdict:
    """Write the job's traces, analyze them, and compare every figure with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        write(job, Path(folder))
        try:
            run = load_run(folder)
            report = analyze(run)
            events = run.events
        except DpprofError:
            return Verdict(REFUSED)
    said = {one.check for one in report.evidence} & _SAID_OF_CLOCKS
    taken_as_it_is = job.fault in _OFF and run.clocks.empty and not said
    if taken_as_it_is and contradicts(job):
        return Verdict(WRONG, ("the clocks contradict causality, and nothing is said",))
    rows = {figures.rank: figures for figures in report.ranks}
    wrong = _unsaid_steps(job, run, report)
    partly = False
    for row, figures in rows.items():
        slack = _off_ns(job) if taken_as_it_is else _slack_ns(run, job)
        says = _Says(report, row, figures, slack, taken_as_it_is and job.fault != "drift")
        told, missing = says.against(truth_of(job, row, rows, run.used_steps))
        wrong += told
        partly |= missing
    wrong += _wrong_matches(job, run, events)
    return Verdict(WRONG, tuple(wrong)) if wrong else Verdict(PARTLY if partly else RIGHT)


def _slack_ns(run: Any, job: Job) -> int:
    """What corrected clocks leave open, over all operations."""
    if run.clocks.empty and job.fault not in ("device-clock", "drift"):
        return 0
    residual = int(run.clocks["residual_ns"].max()) if len(run.clocks) else 0
    most = max(len(done) for done in job.done)
    if job.fault == "device-clock":  # set right but for the time that the quickest launch took
        own = job.done[job.extra["who"]]
        residual += 1000 * min((one.start - one.launched for one in own), default=0)
    return (max(residual, 0) * 2 + 25_000) * most


def _off_ns(job: Job) -> int:
    """How far figures may be off where a clock is, and no communication contradicts it."""
    last = max(end for marks in job.marks for _, _, end in marks)
    last = max(last, *(one.end for done in job.done for one in done))
    off = max(abs(at_clock(job, job.extra["who"], at) - at) for at in (0, last))
    return int(1000 * off + 1) * max(len(done) for done in job.done)


def contradicts(job: Job) -> bool:
    """Whether an operation ends on a rank's clock before it has started on another's."""
    starts: dict[tuple[Any, ...], list[float]] = {}
    ends: dict[tuple[Any, ...], list[float]] = {}
    for rank, done in enumerate(job.done):
        for one in done:
            if one.kind not in ("all_reduce", "p2p"):
                continue
            pair = (rank, one.peer) if one.sends else (one.peer, rank)
            key = (one.kind, one.group, one.number, *(pair if one.kind == "p2p" else ()))
            if one.kind != "p2p" or one.sends:
                starts.setdefault(key, []).append(at_clock(job, rank, one.start))
            if one.kind != "p2p" or not one.sends:
                ends.setdefault(key, []).append(at_clock(job, rank, one.end))
    return any(max(starts[key]) > min(ends[key]) + 1 for key in starts if key in ends)


class _Says(NamedTuple):
    report: Any
    row: int
    figures: Any
    slack_ns: int
    is_own_clock: bool  # its seconds are right: what one rank did by it is exact

    @property
    def _is_cut(self) -> bool:
        """Whether it is said that rows were cut: until when they ran is not known."""
        return any(one.check == "overlap" and self.row in one.ranks for one in self.report.evidence)

    def against(self, truth: dict[str, int]) -> tuple[list[str], bool]:
        wrong, partly = [], False
        left = self.figures.unsplit_ns
        states = self.figures.states_ns
        said = {
            "window_ns": self.figures.window_ns,
            "compute_ns": states["compute_only"] + states["overlap"],
            "exposed_ns": self.figures.exposed_ns,
            "hidden_ns": self.figures.hidden_ns,
            "bubble_ns": self.figures.bubble_ns,
            "wait_ns": self.figures.wait_ns,
        }
        for name, value in said.items():
            if value is None or self._is_cut or touching(self.report.evidence, name, self.row):
                partly = True
                continue
            more, less = (left if name in words else 0 for words in (_AT_LEAST, _AT_MOST))
            partly |= bool(left and (more or less))
            slack = 0 if name == "compute_ns" and self.is_own_clock else self.slack_ns
            if not value - less - slack <= truth[name] <= value + more + slack:
                wrong.append(f"{name} of {self.row}: {value}, not {truth[name]} (unsplit {left})")
        return wrong, partly


def truth_of(job: Job, row: int, rows: Any, used: tuple[int, ...]) -> dict[str, int]:
    """The figures of a rank, or of one of its devices."""
    rank, device = rank_of(row), device_of(row) or 0
    windows = windows_of(job, sorted({rank_of(one) for one in rows}), used)
    own = [one for one in there(job, rank) if one.device == device]
    size = max(end for _, end in windows) + 1
    computes, memory, transfers, waits = (np.zeros(size, dtype=bool) for _ in range(4))
    for one in own:
        if one.kind in ("compute", "memory"):
            (computes if one.kind == "compute" else memory)[one.start : one.end] = True
        else:
            transfers[max(one.start, one.ready) : one.end] = True
            waits[one.start : max(one.start, one.ready)] = True
    inside = np.zeros(size, dtype=bool)
    for start, end in windows:
        inside[start:end] = True
    counts = {
        "window_ns": inside,
        "compute_ns": computes & inside,
        "exposed_ns": transfers & ~computes & inside,
        "hidden_ns": transfers & computes & inside,
        "bubble_ns": inside & ~computes & ~transfers & ~memory,
        "wait_ns": waits & inside,
    }
    return {name: int(which.sum()) * 1000 for name, which in counts.items()}


def there(job: Job, rank: int) -> list[Activity]:
    """What a rank did, as far as anything in its trace tells of it."""
    gone = set() if job.extra.get("launches") else lost(job, rank)
    return [one for place, one in enumerate(job.done[rank]) if place not in gone]


def windows_of(job: Job, ranks: list[int], used: tuple[int, ...]) -> list[tuple[int, int]]:
    """Section 5 of the metrics: steps tile the time that they mark; those of the `used` steps.

    A mark that a jumping clock turned round is lost, and said to be; its step is not used.
    """
    work = [one for rank in ranks for one in there(job, rank)]
    if job.fault == "no-marks":
        return [(min(one.start for one in work), max(one.end for one in work))]
    found: list[tuple[int, int]] = []
    for step in range(1, 1 + len(job.marks[0])):
        marks = [job.marks[rank][step - 1] for rank in ranks]
        own = [one for one in work if one.step == step]
        start = min([mark[1] for mark in marks] + [one.start for one in own])
        end = max([mark[2] for mark in marks] + [one.end for one in own])
        start = found[-1][1] if found else start
        found.append((start, max(start, end)))
    lost_marks = job.fault == "jump"
    return [one for step, one in enumerate(found, 1) if not lost_marks or step in used]


def _unsaid_steps(job: Job, run: Any, report: Any) -> list[str]:
    """Steps that are not used though nothing says that a row is missing."""
    missing = {step for step, _, _ in job.marks[0]} - set(run.used_steps)
    if not missing or job.fault == "no-marks":
        return []
    said = [*(one.text for one in report.evidence), *report.warnings]
    return [] if any("left out" in one for one in said) else [f"steps {missing} are not used"]


def _wrong_matches(job: Job, run: Any, events: Any) -> list[str]:
    """Operations whose latest start is claimed to be another than it was."""
    wrong = []
    off = job.fault in ("offset", "drift", "jump", "device-clock")
    for rank in range(job.size) if not off else ():
        known = {
            (one.start, one.kind): one.ready
            for one in job.done[rank]
            if one.kind not in ("compute", "memory")
        }
        own = events[(events["rank"] == rank) & (events["ready_ns"] >= 0)]
        for start, kind, ready in zip(own["start_ns"], own["kind"], own["ready_ns"], strict=True):
            was = known.get((start // 1000, kind))
            if was is not None and was * 1000 != ready:
                wrong.append(f"ready of {rank} at {start}: {ready}, not {was * 1000}")
    return wrong


__all__ = ["Verdict", "at_clock", "judged"]
