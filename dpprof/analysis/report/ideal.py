"""Ideal beside measured: the least that the schedule allows with the run's own chunk costs."""

from __future__ import annotations

import pandas as pd

from dpprof.analysis.accounting.account import Accounting
from dpprof.analysis.observations import Ideal, IdealRank
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.schedules.actions import OVERLAPPED_PAIR, slot_operation
from dpprof.schedules.schedule import Schedule
from dpprof.schedules.theory import theory
from dpprof.simulate.engine import SimulatedStep, simulate
from dpprof.simulate.events import events_table
from dpprof.simulate.slot_columns import slot_columns, slots_table
from dpprof.simulate.timing import timing_from_measured
from dpprof.tables.columns import END, OPERATION, RANK, START, STEP
from dpprof.tables.kinds import (
    BUBBLE_COOLDOWN,
    BUBBLE_DEPENDENCY,
    BUBBLE_OTHER,
    BUBBLE_WARMUP,
    STATES,
)

ChunkNs = dict[tuple[int, str], int]

_NOISE = 0.01
"""Share by which measured costs may miss an equality that a closed form asks for."""


def ideal_figures(run: Run, accounting: Accounting) -> Ideal | str:
    """The ideal of a run whose schedule is known, or the reason why there is none.

    Every rank's slots take the median of their measured lengths (by operation), messages take no
    time, and the simulator lays them out by dependencies alone.
    """
    chunks = measured_chunks_ns(run)
    step = _ideal_step(run, chunks)
    if isinstance(step, str):
        return step
    if not len(accounting.states):
        return "no ideal: the trace has slots, but no activity in them"
    operation_ns = _over_ranks(chunks)
    promised = theory(step.schedule, _without_noise(operation_ns))
    steps = accounting.states[STEP].nunique()
    published = promised.bubble.published_ns
    return Ideal(
        steps=steps,
        window_ns=step.makespan_ns * steps,
        bubble_ns=max(step.idle_ns) * steps,
        closed_form_ns=None if published is None else published * steps,
        closed_form=promised.form,
        note=promised.bubble.note,
        chunk_ns=[
            {operation: ns for (rank, operation), ns in sorted(chunks.items()) if rank == pp_rank}
            for pp_rank in range(step.schedule.pp)
        ],
        ranks=_ranks(run.places, accounting, step, steps),
    )


def ideal_run(run: Run) -> Run:
    """The step of `ideal_figures` as a run, to be drawn beside the measured one.

    Raises `DpprofError` with the reason where there is none.
    """
    step = _ideal_step(run, measured_chunks_ns(run))
    if isinstance(step, str):
        raise DpprofError(f"{run.name}: {step}")
    return _as_run(step)


def _ideal_step(run: Run, chunks: ChunkNs) -> SimulatedStep | str:
    if run.schedule is None:
        return "no ideal: the schedule of the run is not known"
    if spans_steps(run):
        return "no ideal: the whole trace is one window, which holds several steps"
    missing = sorted(_needed(run.schedule) - chunks.keys())
    if missing or not run.used_steps:
        ranks = sorted({pp_rank for pp_rank, _ in missing})
        return f"no ideal: no slots in the trace of pipeline ranks {ranks}; give all ranks' traces"
    return simulate(run.schedule, timing_from_measured(chunks))


def spans_steps(run: Run) -> bool:
    """Whether the window that is accounted holds several of the steps that the run marks."""
    marked = set(run.steps[STEP]) if run.manifest is None else set(run.manifest.steps.measured)
    return len(marked) > 1 and marked.isdisjoint(run.used_steps)


def _without_noise(operation_ns: dict[str, int]) -> dict[str, int]:
    """Measured costs for closed forms, whose conditions are equalities that noise always breaks.

    I and W that are F to within a per cent count as F; then B as I + W, and F&B as F + B or as
    the longer of the two where it lies beyond them by no more than that.
    """
    costs = dict(operation_ns)
    for name in ("I", "W"):
        _snap(costs, name, costs.get("F"))
    if "I" in costs and "W" in costs:
        _snap(costs, "B", costs["I"] + costs["W"])
    if "F" in costs and "B" in costs and OVERLAPPED_PAIR in costs:
        least, most = max(costs["F"], costs["B"]), costs["F"] + costs["B"]
        if not least <= costs[OVERLAPPED_PAIR] <= most:
            _snap(costs, OVERLAPPED_PAIR, least)
            _snap(costs, OVERLAPPED_PAIR, most)
    return costs


def _snap(costs: dict[str, int], name: str, value: int | None) -> None:
    if value is not None and name in costs and abs(costs[name] - value) <= _NOISE * value:
        costs[name] = value


def measured_chunks_ns(run: Run) -> ChunkNs:
    """(pipeline rank, operation) -> median length of its slots over the used steps."""
    slots = run.slots[run.slots[STEP].isin(run.used_steps)]
    slots = slots[slots[RANK].isin(list(run.pp_rank))]
    if slots.empty:
        return {}
    chunks = pd.DataFrame(
        {
            "pp_rank": slots[RANK].map(run.pp_rank),
            "operation": slots[OPERATION].astype(str),
            "length": slots[END] - slots[START],
        }
    )
    medians = chunks.groupby(["pp_rank", "operation"], as_index=False).median()
    return {
        (int(pp_rank), str(operation)): round(length)
        for pp_rank, operation, length in medians.itertuples(index=False)
    }


def _needed(schedule: Schedule) -> set[tuple[int, str]]:
    return {
        (pp_rank, slot_operation(slot))
        for pp_rank, slots in enumerate(schedule.ranks)
        for slot in slots
    }


def _over_ranks(chunks: ChunkNs) -> dict[str, int]:
    """Operation -> median over pipeline ranks: the one set of costs that closed forms take."""
    lengths = pd.Series([*chunks.values()], index=[operation for _, operation in chunks])
    return {str(name): round(value) for name, value in lengths.groupby(level=0).median().items()}


def _ranks(
    places: tuple[RankPlace, ...], accounting: Accounting, step: SimulatedStep, steps: int
) -> list[IdealRank]:
    return [
        _rank(place, accounting, step, steps)
        for place in sorted(places, key=lambda place: place.rank)
    ]


def _rank(place: RankPlace, accounting: Accounting, step: SimulatedStep, steps: int) -> IdealRank:
    inside, outside = _split(accounting, place.rank)
    ideal_inside, ideal_outside = step.busy_ns[place.pp_rank], idle_states(step, place.pp_rank)
    changes = {state: outside[state] - ideal_outside.get(state, 0) * steps for state in STATES}
    return IdealRank(
        rank=place.rank,
        pp_rank=place.pp_rank,
        bubble_ns=step.idle_ns[place.pp_rank] * steps,
        busy_ns=step.busy_ns[place.pp_rank] * steps,
        measured_outside_slots_ns=sum(outside.values()),
        difference_ns={
            "slots": inside - ideal_inside * steps,
            **{state: change for state, change in changes.items() if change},
        },
    )


def idle_states(step: SimulatedStep, pp_rank: int) -> dict[str, int]:
    """Time of a rank outside its slots by state, where messages take no time.

    What `account` says of such a step: between two slots a rank only ever waits for an input.
    """
    starts, ends = step.starts_ns[pp_rank], step.ends_ns[pp_rank]
    if not len(starts):
        return {BUBBLE_OTHER: step.makespan_ns}
    return {
        BUBBLE_WARMUP: int(starts[0]),
        BUBBLE_COOLDOWN: step.makespan_ns - int(ends[-1]),
        BUBBLE_DEPENDENCY: int((starts[1:] - ends[:-1]).sum()),
    }


def _split(accounting: Accounting, rank: int) -> tuple[int, dict[str, int]]:
    """Time of a rank inside its slots, and outside of them by state."""
    table = accounting.outside[accounting.outside[RANK] == rank]
    outside = {state: int(table[state].sum()) for state in STATES}
    window = int((table[END] - table[START]).sum())
    return window - sum(outside.values()), outside


def _as_run(step: SimulatedStep) -> Run:
    slots = slot_columns(step)
    return Run(
        name="ideal",
        source="simulated",
        events=events_table(step, slots),
        places=tuple(RankPlace(rank=rank, pp_rank=rank) for rank in range(step.schedule.pp)),
        schedule=step.schedule,
        slots=slots_table(slots),
    )
