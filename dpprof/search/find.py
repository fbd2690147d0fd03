"""Finds a schedule for given costs that beats the best known one within the same memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import knows_memory, model_layers, stage_memory
from dpprof.errors import DpprofError
from dpprof.schedules.check import check_schedule
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule
from dpprof.search.bound import lower_bound
from dpprof.search.candidate import Candidate, candidate, known_candidates
from dpprof.search.problem import (
    MOST_DIRECTIONS,
    Array,
    Problem,
    make_problem,
    orders_of,
    schedule_of,
)
from dpprof.search.repeat import repeat_steady
from dpprof.search.rounds import Progress, SearchBudget, improve
from dpprof.search.slot_length import slot_lengths
from dpprof.simulate.activations import chunk_bytes, static_bytes
from dpprof.simulate.stage_timing import schedule_timing

_SHORT_SHARE = 0.6
_MORE_MEMORY_SHARE = 0.15
_LEAST_SECONDS_FOR_MORE = 5.0


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What is to be found: sizes, the memory of a device, and for how long to look.

    The model has `model_layers` (None: ``pp * costs.layers``). `memory_bytes` None: a device holds
    no more than one of the best known schedule does at most. `names` are the schedules to begin
    with (all with one stage a rank and direction, whose chunks are those that the costs are of).
    """

    pp: int
    micro_batches: int
    costs: CostProfile
    model_layers: int | None = None
    name: str = "found"
    names: tuple[str, ...] = ()
    memory_bytes: int | None = None
    budget: SearchBudget = field(default_factory=lambda: SearchBudget(60.0))

    @property
    def layers(self) -> int:
        """Layers of the model."""
        return self.model_layers or model_layers(self.costs, self.pp)


@dataclass(frozen=True)
class FoundSchedule:
    """What was found, beside the best known schedule and a bound that no order can beat.

    `limit_chunks` is how many chunks in flight a rank was allowed at most; `more_memory` what
    the same search found with one chunk more on every rank, None where it was not looked for.
    """

    best: Candidate
    known: Candidate
    bound_ns: int
    limit_chunks: int
    more_memory: Candidate | None
    elsewhere: Candidate | None
    """A known schedule with other chunks that is faster than what was found; or None."""

    @property
    def gap_closed(self) -> float | None:
        """How much of the way from the best known step to the bound was made; None: no way."""
        way = self.known.step_ns - self.bound_ns
        return (self.known.step_ns - self.best.step_ns) / way if way > 0 else None


def find(request: SearchRequest, progress: Progress | None = None) -> FoundSchedule:
    """Search for the time that the request gives.

    What is found is checked and simulated anew. Raises `DpprofError` where no known schedule
    has these sizes, or none fits the memory.
    """
    every = _known(request)
    known = _best_known(request, every)
    limits, weights = _limits(request, known)
    look_further = request.budget.seconds >= _LEAST_SECONDS_FOR_MORE
    share = 1 - _MORE_MEMORY_SHARE * look_further
    seconds = request.budget.seconds
    search = _Search(request, known, weights)
    best = search.run(
        known.schedule, limits, SearchBudget(seconds * share, request.budget.seed), progress
    )
    more = None
    if look_further:
        budget = SearchBudget(seconds * (1 - share), request.budget.seed + 1)
        more = search.run(best.schedule, limits + weights.max(axis=1), budget, None)
    problem = search.problem(known.schedule, limits)
    most = int((limits // weights.max(axis=1)).max())
    memory = request.memory_bytes
    stages = best.schedule.placement.stage_count
    faster = [one for one in every if one.step_ns < best.step_ns and one.stages != stages]
    faster = [one for one in faster if memory is None or max(one.peak_bytes) <= memory]
    elsewhere = faster[0] if faster else None
    return FoundSchedule(best, known, lower_bound(problem), most, more, elsewhere)


def _known(request: SearchRequest) -> list[Candidate]:
    sizes = request.pp, request.micro_batches
    every = known_candidates(*sizes, request.costs, request.layers)
    if len(request.names) == 1 and request.names[0] not in [one.schedule.name for one in every]:
        known_candidates(*sizes, request.costs, request.layers, request.names)  # raises why
    return every


def _best_known(request: SearchRequest, every: list[Candidate]) -> Candidate:
    known = [one for one in every if len(one.schedule.placement.streams) <= MOST_DIRECTIONS]
    if request.names:
        known = [one for one in known if one.schedule.name in request.names]
    else:
        known = [one for one in known if one.schedule.placement.stage_count == request.pp]
    if not known:
        raise DpprofError(
            f"no known schedule has {request.pp} ranks, {request.micro_batches} micro-batches and "
            f"stages that divide {request.layers} layers; choose other sizes"
        )
    memory = request.memory_bytes
    if memory is None:
        return known[0]
    if not knows_memory(request.costs):
        raise DpprofError(
            "the costs do not say what activations take, so no memory limit can be held; leave "
            "--memory out, or add memory.activation_bytes to the costs"
        )
    fitting = [one for one in known if max(one.peak_bytes) <= memory]
    if fitting:
        return fitting[0]
    least = min(known, key=lambda one: max(one.peak_bytes))
    raise DpprofError(
        f"no known schedule fits {memory} bytes a device; the least is {least.schedule.name} with "
        f"{max(least.peak_bytes)}; give more --memory"
    )


def _limits(request: SearchRequest, known: Candidate) -> tuple[Array, Array]:
    """What chunks in flight may take of each rank, and what a chunk of each direction takes.

    Bytes where the request limits them; else they are counted, whatever they hold.
    """
    schedule = known.schedule
    if request.memory_bytes is None:
        ranks = np.ones(schedule.pp, np.int64)
        weights = np.ones((schedule.pp, len(schedule.placement.streams)), np.int64)
        return max(known.peak_chunks) * ranks, weights
    stages = stage_memory(request.costs, schedule.placement.stage_count, known.layers)
    weights = np.maximum(np.array(chunk_bytes(schedule, stages), np.int64), 1)
    return request.memory_bytes - np.array(static_bytes(schedule, stages), np.int64), weights


class _Search:
    """Searches from schedules of one placement; keeps what its problems have in common."""

    def __init__(self, request: SearchRequest, known: Candidate, weights: Array) -> None:
        self._request, self._known, self._weights = request, known, weights
        self._timing = schedule_timing(known.schedule, request.costs, known.layers)

    def problem(self, schedule: Schedule, limits: Array) -> Problem:
        return make_problem(
            schedule, slot_lengths(self._timing), self._timing.message, self._weights, limits
        )

    def run(
        self, start: Schedule, limits: Array, budget: SearchBudget, progress: Progress | None
    ) -> Candidate:
        """The best of the start and what is found in the time."""
        began = self._candidate(start)
        short = self._shorter(start)
        seconds = budget.seconds
        found = [began]
        if short is not None:
            budget = replace(budget, seconds=seconds * _SHORT_SHARE)
            longer = self._from_shorter(short, start, limits, budget)
            if longer is not None:
                found.append(longer)
            budget = replace(budget, seconds=seconds * (1 - _SHORT_SHARE), seed=budget.seed + 1)
        best = min(found, key=lambda one: one.step_ns)
        return min(best, self._improved(best.schedule, limits, budget, progress), key=_step_ns)

    def _improved(
        self, start: Schedule, limits: Array, budget: SearchBudget, progress: Progress | None = None
    ) -> Candidate:
        problem = self.problem(start, limits)
        found = improve(problem, orders_of(start, problem), budget, progress)
        return self._candidate(schedule_of(found.best, problem, start, self._request.name))

    def _candidate(self, schedule: Schedule) -> Candidate:
        check_schedule(schedule)
        return candidate(schedule, self._request.costs, self._known.layers)

    def _shorter(self, start: Schedule) -> Schedule | None:
        """The known schedule with as few micro-batches as show its steady phase, if far fewer."""
        streams = start.placement.stream_count
        few = 2 * start.pp + 2 * streams
        if start.name != self._known.schedule.name or start.micro_batches < 1.5 * few:
            return None
        few += (start.micro_batches - few) % streams
        try:
            return make_schedule(start.name, start.pp, few)
        except DpprofError:
            return None

    def _from_shorter(
        self, short: Schedule, start: Schedule, limits: Array, budget: SearchBudget
    ) -> Candidate | None:
        """Search with few micro-batches, where a step takes less time to look at, and repeat."""
        found = self._improved(short, limits, budget)
        problem = self.problem(found.schedule, limits)
        orders = orders_of(found.schedule, problem)
        more = start.micro_batches_per_stream - short.micro_batches_per_stream
        longer = repeat_steady(orders, problem, found.step, more)
        if longer is None:
            return None
        problem = replace(problem, micro_batches=start.micro_batches_per_stream)
        return self._candidate(schedule_of(longer[0], problem, start, self._request.name))


def _step_ns(one: Candidate) -> int:
    return one.step_ns
