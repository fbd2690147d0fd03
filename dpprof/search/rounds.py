"""Spends a given time on annealing: rounds of cooling, each from the best of all before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dpprof.search.anneal import Annealed, Cooling, anneal, has_compiled
from dpprof.search.problem import Orders, Problem

HEATS = (0.01, 0.005, 0.02, 0.0025, 0.05)
"""First temperatures of a round, in lengths of a slot; which is best depends on size and time."""
_COOLED = 0.4
_COLDEST = 0.004
_SECONDS_PER_SLOT = 1 / 15
"""Of a round: one that is over too soon ends in the first valley that it comes to."""
_SLICE_SECONDS = 0.2
_MOST_THREADS = 8

Progress = Callable[[float, int], None]
"""Told the share of the time that is gone, and the best value in ns."""


@dataclass(frozen=True)
class SearchBudget:
    """Wall-clock seconds, and the seed of all random numbers."""

    seconds: float
    seed: int = 1


def threads() -> int:
    """Annealings that run at once: a core each; one where Python does it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST_THREADS) if has_compiled() else 1


def improve(
    problem: Problem, orders: Orders, budget: SearchBudget, progress: Progress | None = None
) -> Annealed:
    """The best orders found in the time, at least as good as those given.

    Its value is that of `dpprof.search.anneal.anneal`. Uses all cores, eight at most.
    """
    began = time.monotonic()
    best = anneal(problem, Annealed(orders, orders, 1), Cooling(0, 1.0, 1.0))
    rounds = max(1, round(budget.seconds / _SECONDS_PER_SLOT / sum(map(len, orders))))
    worth = dict.fromkeys(HEATS, best.best_value_ns)
    with ThreadPoolExecutor(threads()) as pool:
        for number in range(rounds):
            seconds = budget.seconds * (number + 1) / rounds - (time.monotonic() - began)
            heats = _heats(worth, number, threads())
            starts = [
                replace(best, current=best.best, seed=_seed(budget.seed, number, one))
                for one in range(len(heats))
            ]
            found = list(pool.map(partial(_cool, problem, seconds), starts, heats))
            for heat, one in zip(heats, found, strict=True):
                worth[heat] = one.best_value_ns
            best = min([best, *found], key=lambda one: one.best_value_ns)
            if progress is not None:
                progress((number + 1) / rounds, best.best_value_ns)
    return best


def _heats(worth: dict[float, int], number: int, count: int) -> list[float]:
    """Each heat once, then the best one beside others in turn."""
    in_turn = [HEATS[(number * count + one) % len(HEATS)] for one in range(count)]
    if (number + 1) * count <= len(HEATS):
        return in_turn
    return [min(worth, key=lambda heat: worth[heat]), *in_turn[1:]]


def _seed(*numbers: int) -> int:
    """A seed of 62 bits, never 0."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state[0] >> 2) | 1


def _cool(problem: Problem, seconds: float, at: Annealed, heat: float) -> Annealed:
    """One round: from hot to cold, in slices whose length follows the clock."""
    slot_ns = max(float(np.median(problem.lengths[problem.lengths > 0])), 1.0)
    first, last = heat * slot_ns, min(_COLDEST, heat * _COOLED) * slot_ns
    began = time.monotonic()
    steps, gone = 500 if has_compiled() else 5, 0.0
    while gone < 1.0:
        here = first * (last / first) ** gone
        started = time.monotonic()
        at = anneal(problem, at, Cooling(steps, here, here))
        now = time.monotonic()
        steps = max(1, min(10 * steps, round(steps * _SLICE_SECONDS / max(now - started, 1e-6))))
        gone = (now - began) / seconds if seconds > 0 else 1.0
    return at
