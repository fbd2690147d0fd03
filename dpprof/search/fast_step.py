"""The length of a step by the compiled core: what the simulator gives, without its tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dpprof.schedules.actions import slot_kind
from dpprof.schedules.in_flight import most_in_flight
from dpprof.schedules.schedule import Schedule
from dpprof.search.anneal import evaluate, has_compiled
from dpprof.search.problem import MOST_DIRECTIONS, is_in_order, make_problem, orders_of
from dpprof.search.slot_length import slot_lengths
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import Timing


class Figures(NamedTuple):
    """Of a schedule: its step, the time in slots and the most chunks held, by pipeline rank."""

    step_ns: int
    busy_ns: tuple[int, ...]
    peak_chunks: tuple[int, ...]


def fast_step(schedule: Schedule, timing: Timing) -> Figures:
    """The figures of a schedule with messages that travel while ranks compute.

    Where the compiled core is missing, or micro-batches do not pass in order, the simulator gives
    them. Raises `DpprofError` where the timing lacks an operation, or ranks wait for each other.
    """
    peaks = tuple(map(most_in_flight, schedule.ranks))
    core = has_compiled() and len(schedule.placement.streams) <= MOST_DIRECTIONS
    if not core or not is_in_order(schedule):
        step = simulate(schedule, timing)
        return Figures(step.makespan_ns, step.busy_ns, peaks)
    for pp_rank, slots in enumerate(schedule.ranks):
        for slot in {slot_kind(slot): slot for slot in slots}.values():
            timing.of_slot(pp_rank, slot)  # raises where it is missing
    ones = np.ones((schedule.pp, len(schedule.placement.streams)), np.int64)
    limits = np.full(schedule.pp, max(peaks), np.int64)
    length = slot_lengths(timing)
    problem = make_problem(schedule, length, timing.message, ones, limits, fold=False)
    orders = orders_of(schedule, problem)
    busy = tuple(int(problem.lengths[rank][list(order)].sum()) for rank, order in enumerate(orders))
    return Figures(evaluate(problem, orders), busy, peaks)
