"""Runs a schedule by its dependencies alone: messages are free, every operation takes its time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dpprof.schedules.actions import Slot, slot_operation
from dpprof.schedules.schedule import Dependency, DependencyRule, Schedule


class Span(NamedTuple):
    """When a slot runs: ``[start, end)`` in the units of the durations."""

    start: int
    end: int


@dataclass(frozen=True)
class Execution:
    """The spans of the slots that could run, by rank, and what stops the ranks that did not end."""

    spans: tuple[tuple[Span, ...], ...]
    blocked: Mapping[int, Dependency]
    """Pipeline rank -> what its next slot waits for, for ever; empty where all slots ran."""

    @property
    def makespan(self) -> int:
        """End of the last slot, all ranks starting at 0."""
        return max((spans[-1].end for spans in self.spans if spans), default=0)

    def idle(self, pp_rank: int) -> int:
        """Time within the whole step in which the rank runs nothing: its bubble."""
        return self.makespan - sum(span.end - span.start for span in self.spans[pp_rank])


class _Progress:
    """How far every rank has come; state because the end of one rank's slot wakes another's."""

    def __init__(self, schedule: Schedule, durations: Mapping[str, int]) -> None:
        self._durations = durations
        self._rule = DependencyRule(schedule)
        self._ended: dict[Dependency, int] = {}
        self._waiting: dict[Dependency, list[int]] = {}
        self.spans: list[list[Span]] = [[] for _ in schedule.ranks]

    def advance(self, pp_rank: int, slot: Slot) -> Iterator[int] | None:
        """Run the rank's next slot and give the ranks it wakes; None where it has to wait."""
        spans, rule = self.spans[pp_rank], self._rule
        start = spans[-1][1] if spans else 0
        for action in slot:
            for needed in (rule.upstream(pp_rank, action), rule.own(pp_rank, action)):
                if needed is None:
                    continue
                ready = self._ended.get(needed)
                if ready is None:
                    self._waiting.setdefault(needed, []).append(pp_rank)
                    return None
                start = max(start, ready)
        spans.append(Span(start, start + self._durations[slot_operation(slot)]))
        return self._publish(pp_rank, slot, spans[-1].end)

    def _publish(self, pp_rank: int, slot: Slot, end: int) -> Iterator[int]:
        for action in slot:
            result = Dependency(pp_rank, action)
            self._ended[result] = end
            yield from self._waiting.pop(result, ())

    def blocked(self) -> dict[int, Dependency]:
        """What the waiting ranks wait for."""
        return {rank: needed for needed, ranks in self._waiting.items() for rank in ranks}


def execute(schedule: Schedule, durations: Mapping[str, int]) -> Execution:
    """Run every slot as soon as its rank is free and its inputs are there.

    `durations` has a time for each of F, B, I, W and F&B that occurs. A pair starts when the
    inputs of both its members are there and publishes both results at its end. Linear in the
    number of slots. A schedule with a deadlock runs as far as it goes (`Execution.blocked`).
    """
    progress = _Progress(schedule, durations)
    runnable = list(range(schedule.pp))
    while runnable:
        pp_rank = runnable.pop()
        slots = schedule.ranks[pp_rank]
        for position in range(len(progress.spans[pp_rank]), len(slots)):
            woken = progress.advance(pp_rank, slots[position])
            if woken is None:
                break
            runnable += woken
    return Execution(tuple(map(tuple, progress.spans)), progress.blocked())
