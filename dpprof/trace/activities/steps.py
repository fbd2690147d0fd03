"""The steps that a trace marks, and which of them are accounted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dpprof.errors import DpprofError
from dpprof.tables.columns import END, RANK, START, STEP, STEPS, make_table
from dpprof.trace.activities.marks import NO_STEP, HostMarks, read_marks
from dpprof.trace.activities.nesting import innermost, innermost_by_group
from dpprof.trace.read.columns import Codes, Mask, Nanoseconds, TraceColumns

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")

OUTSIDE = NO_STEP


class Marks(NamedTuple):
    """The marked steps of one rank, in order of start; `threads` mark them, `own` says which when.

    `doubts` say what is odd about the marks, and what was done about it.
    """

    step: Codes
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    threads: Codes
    own: HostMarks

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is odd, in words."""
        return self.own.doubts

    def step_at(self, instants: Nanoseconds, threads: Codes | None = None) -> Codes:
        """The step whose range holds each instant, `OUTSIDE` where none does.

        Where several threads mark steps, a thread's own marks count before those of others.
        """
        found = innermost(self.start_ns, self.end_ns, instants)
        step = np.append(self.step, np.int32(OUTSIDE))[found]
        if threads is None or len(self.threads) < 2:
            return step
        spans = (self.own.thread, self.own.start_ns, self.own.end_ns)
        own = innermost_by_group(spans, (threads, instants))
        return np.where(
            np.isin(threads, self.threads), np.append(self.own.step, OUTSIDE)[own], step
        )

    def step_by_time(
        self, instants: Nanoseconds, known: tuple[Codes, Nanoseconds, Nanoseconds]
    ) -> Codes:
        """The step of device work whose stream has no launch in the trace, by its start alone.

        `known` are step, start and end of other work of the device: a step lasts from its first
        start to that of the next, the last one to its last end. Without any, the host's own
        ranges must do, which are ahead of the device.
        """
        step, start_ns, end_ns = known
        if not len(step):
            return self.step_at(instants)
        steps, first = np.unique(step, return_inverse=True)
        begins = np.full(len(steps), np.iinfo(np.int64).max)
        np.minimum.at(begins, first, start_ns)
        order = np.argsort(begins, kind="stable")
        found = np.searchsorted(begins[order], instants, side="right") - 1
        by_time = np.append(steps[order], OUTSIDE)[found].astype(np.int32)
        return np.where(instants < end_ns.max(), by_time, OUTSIDE).astype(np.int32)

    def table(self, rank: int) -> pd.DataFrame:
        """The marks as a STEPS table."""
        return make_table(
            STEPS, {RANK: rank, STEP: self.step, START: self.start_ns, END: self.end_ns}
        )


def find_marks(trace: TraceColumns) -> Marks:
    """The steps that ``ProfilerStep#n`` ranges on the host mark; on several threads, from first to
    last.
    """
    own = read_marks(trace)
    steps, number = np.unique(own.step, return_inverse=True)
    start_ns = np.full(len(steps), np.iinfo(np.int64).max)
    end_ns = np.full(len(steps), np.iinfo(np.int64).min)
    np.minimum.at(start_ns, number, own.start_ns)
    np.maximum.at(end_ns, number, own.end_ns)
    order = np.argsort(start_ns, kind="stable")
    return Marks(
        step=steps[order].astype(np.int32),
        start_ns=start_ns[order],
        end_ns=end_ns[order],
        threads=np.unique(own.thread),
        own=own,
    )


def bracketed(step: Codes, lane: Codes, start_ns: Nanoseconds, known: Mask) -> Codes:
    """Steps of device work, those of unknown launches by their neighbours in stream order.

    A stream runs its work in the order of launch: what runs between two activities of one step
    was launched in that step. `known` says whose launch is in the trace.
    """
    frame = pd.DataFrame({"lane": lane, "start": start_ns, "step": step.astype(float)})
    frame.loc[~known, "step"] = np.nan
    frame = frame.sort_values(["lane", "start"], kind="stable")
    by_lane = frame.groupby("lane")["step"]
    before, after = by_lane.ffill(), by_lane.bfill()
    agreed = before.where(before == after, OUTSIDE).fillna(OUTSIDE)
    result = step.copy()
    unknown = ~known
    result[unknown] = agreed.sort_index().to_numpy(dtype=np.int32)[unknown]
    return result


class StepChoice(NamedTuple):
    """The steps to account, and those that are left out."""

    used: tuple[int, ...]
    dropped: tuple[int, ...]


def choose_steps(
    marked: Sequence[Collection[int]],
    wanted: str | None,
    measured: Collection[int] = (),
    warmup: Collection[int] = (),
) -> StepChoice:
    """Decide between the steps that each rank marks, those of the manifest and those asked for.

    `marked` has one collection per rank; only steps that all of them mark can be accounted.
    Raises `DpprofError` where none is left, or `wanted` (``3-5``, ``2,4-6``) asks for others.
    """
    everywhere = set(marked[0]).intersection(*marked[1:]) if marked else set()
    known = set().union(*marked) | set(warmup)
    if not everywhere:
        raise DpprofError(
            "the ranks mark no step in common, so they may be of different runs; give the traces "
            "of one run, or take everything with --whole-trace"
        )
    if wanted is not None:
        used = _parse_steps(wanted)
        if not used <= everywhere:
            raise DpprofError(
                f"no step {_listed(used - everywhere)} in the trace; it has {_listed(everywhere)}"
            )
    else:
        used = (everywhere & set(measured)) if measured else everywhere - set(warmup)
    if not used:
        raise DpprofError(
            f"the trace marks only steps {_listed(everywhere)}, and run.json counts none of them "
            "as measured; pick steps with --steps"
        )
    return StepChoice(tuple(sorted(used)), tuple(sorted(known - used)))


def _parse_steps(text: str) -> set[int]:
    steps: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise DpprofError(f"--steps {text}: not a range of steps; write 3, 3-5 or 2,4-6")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first > 1_000_000:
            raise DpprofError(f"--steps {text}: more than a million steps; pick fewer")
        steps.update(range(first, last + 1))
    return steps


def _listed(steps: Collection[int]) -> str:
    numbers = sorted(steps)
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ", ".join(str(number) for number in numbers[:12]) + (
        ", ..." if len(numbers) > 12 else ""
    )
