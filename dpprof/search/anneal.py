"""Anneals a problem's orders with the compiled core, or its twin in Python where it is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dpprof.search import anneal_python
from dpprof.search.problem import Array, Orders, Problem

try:
    from dpprof.search import _anneal as _compiled  # type: ignore[attr-defined]
except ImportError:  # built without a C compiler
    _compiled = None

MEAN_PERMILLE = 100
"""Share of the ranks' mean end in what is minimised: it leads over plateaus of equal steps."""
NEVER = 2**63 - 1


@dataclass(frozen=True)
class Cooling:
    """How long to anneal, and from which temperature to which: how much worse (in ns) may be."""

    steps: int
    first_ns: float
    last_ns: float


@dataclass(frozen=True)
class Annealed:
    """Where annealing stands: what it works on, the best so far, and its random numbers."""

    current: Orders
    best: Orders
    seed: int
    value_ns: int = NEVER
    best_value_ns: int = NEVER


def has_compiled() -> bool:
    """Whether the compiled core was built."""
    return _compiled is not None


def evaluate(problem: Problem, orders: Orders) -> int:
    """The length of the step in ns, exactly; `NEVER` where ranks wait for each other."""
    return _run(problem, Annealed(orders, orders, 1), Cooling(0, 1.0, 1.0), True, 0).value_ns


def anneal(problem: Problem, at: Annealed, cooling: Cooling, *, compiled: bool = True) -> Annealed:
    """Make `cooling.steps` moves from where it stands; both cores give the same.

    The value is the step in ns plus `MEAN_PERMILLE` of the mean end of the ranks; `NEVER` where
    the order to start with cannot run, which is then left alone.
    """
    return _run(problem, at, cooling, compiled, MEAN_PERMILLE)


def _run(
    problem: Problem, at: Annealed, cooling: Cooling, compiled: bool, mean_permille: int
) -> Annealed:
    current, best = _pack(at.current, problem), _pack(at.best, problem)
    state = np.array([at.seed, 0, 0], np.int64)
    sizes = (problem.ranks, problem.directions, problem.micro_batches, problem.edges, mean_permille)
    run = _compiled.anneal if compiled and _compiled is not None else anneal_python.anneal
    run(
        np.array(sizes, np.int32),
        problem.lengths,
        problem.links,
        problem.weights,
        problem.limits,
        problem.message,
        *current,
        *best,
        state,
        cooling.steps,
        cooling.first_ns,
        cooling.last_ns,
    )
    seed, value, best_value = (int(one) for one in state)
    return Annealed(_unpack(*current), _unpack(*best), seed, value, best_value)


def _pack(orders: Orders, problem: Problem) -> tuple[Array, Array]:
    tokens = np.zeros((problem.ranks, problem.room), np.int16)
    for rank, order in enumerate(orders):
        tokens[rank, : len(order)] = order
    return tokens, np.array([len(order) for order in orders], np.int32)


def _unpack(tokens: Array, counts: Array) -> Orders:
    return tuple(
        tuple(row[:count].tolist()) for row, count in zip(tokens, counts.tolist(), strict=True)
    )
