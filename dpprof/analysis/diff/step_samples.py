"""The times of every step, as samples of what a diff compares."""

from __future__ import annotations

from dpprof.analysis.diff.part_names import BUBBLE, COMPUTING, EXPOSED, STEP_PART
from dpprof.analysis.diff.work_accounts import Cells
from dpprof.tables.columns import RANK, STEP
from dpprof.tables.kinds import BUBBLE_STATES, COMPUTE_ONLY, EXPOSED_STATES, MEMORY, OVERLAP, STATES

_SUMS = {
    STEP_PART: STATES,
    COMPUTING: (COMPUTE_ONLY, OVERLAP),
    EXPOSED: EXPOSED_STATES,
    BUBBLE: BUBBLE_STATES,
} | {state: (state,) for state in (*STATES, MEMORY)}
"""Name of a part of the step -> the states that it is."""


def step_count(cells: Cells) -> int:
    """How many steps have any activity."""
    return int(cells.states[STEP].nunique())


def samples(cells: Cells) -> dict[str, list[float]]:
    """Name of a part of the step -> its time in every step, mean of the ranks, in nanoseconds."""
    steps = cells.states.drop(columns=[RANK]).groupby(STEP).mean()
    return {name: steps[list(states)].sum(axis=1).tolist() for name, states in _SUMS.items()}


def too_few(counts: tuple[int, int], sources: tuple[str, str]) -> str:
    """Why there are no intervals; empty where both sides have several steps."""
    simulated: list[str] = []
    few: list[str] = []
    for name, steps, source in zip(("BASE", "NEW"), counts, sources, strict=True):
        if steps < 2:
            (simulated if source == "simulated" else few).append(name)
    reasons = []
    if simulated:
        reasons.append(f"one simulated step in {' and '.join(simulated)}, which has no spread")
    if few:
        reasons.append(
            f"one step in {' and '.join(few)}: its spread is not known; profile several steps"
        )
    return "; ".join(reasons)
