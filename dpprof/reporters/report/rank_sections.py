"""The tables of a report that have a row per rank: time, bubbles, who was waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from dpprof.analysis.figures import RankFigures, TimeFigures
from dpprof.analysis.model import Report
from dpprof.reporters.blocks.bounds import BOUNDS, bounded, is_partial
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import TimeUnit, share_text, time_unit
from dpprof.tables.devices import rank_label, rank_of
from dpprof.tables.kinds import (
    BUBBLE_STATES,
    COMPUTE_ONLY,
    EXPOSED_STATES,
    FUSED,
    MEMORY,
    OVERLAP,
)

MOST_RANKS = 16
"""Rows of a table of ranks; the worst come first, the rest are counted."""
MOST_WAITED_FOR = 5


def worst_first(report: Report) -> list[RankFigures]:
    """The ranks by bubble, largest first."""
    return sorted(report.ranks, key=lambda rank: (-rank.bubble_ns, rank.rank))


def rank_name(rank: RankFigures, report: Report) -> str:
    """``0``, ``0, device 1``, or ``3 (pp 1)`` where ranks and pipeline ranks differ."""
    same = all(rank_of(one.rank) == one.pp_rank for one in report.ranks)
    label = rank_label(rank.rank, {} if rank.device is None else {rank.rank: rank.device})
    return label if same else f"{label} (pp {rank.pp_rank})"


def unit_of(report: Report) -> TimeUnit:
    """The unit of all times of a report."""
    return time_unit(report.step_ns)


@dataclass(frozen=True)
class _Column:
    """A column of a table of ranks: a time per step and its share of the window.

    `figure` is what `TimeFigures.bounds` calls the time.
    """

    title: str
    time_ns: Callable[[TimeFigures], int | None]
    figure: str = ""


def _state_columns(report: Report, states: Sequence[str]) -> Iterator[_Column]:
    """A column for each of the states that occur."""
    for state in states:
        if report.total.states_ns[state]:
            title = state.replace(".", " ").replace("bubble ", "")
            yield _Column(title, lambda one, state=state: _state_ns(one, state), state)  # type: ignore[misc]


def _state_ns(figures: TimeFigures, state: str) -> int | None:
    """The time in a state; idle time is one figure with the bubble, known or not."""
    known = state not in BUBBLE_STATES or _bubble_ns(figures) is not None
    return figures.states_ns[state] if known else None


def _bubble_ns(figures: TimeFigures) -> int | None:
    """The bubble; None where what looks idle may have been something else."""
    known = figures.bubble_share is not None or not figures.window_ns
    return figures.bubble_ns if known else None


def _knows_waits(report: Report) -> bool:
    return any(rank.blocking_ns is not None for rank in report.ranks)


def time_section(report: Report) -> Section:
    """A row per rank: computing, communicating hidden and exposed, idle."""
    columns = [
        _Column("compute", lambda one: one.states_ns[COMPUTE_ONLY] + one.states_ns[OVERLAP]),
        _Column("overlap", lambda figures: figures.states_ns[OVERLAP], OVERLAP),
        *_state_columns(report, (*EXPOSED_STATES, MEMORY, FUSED)),
        *([_Column("blocking", lambda one: one.blocking_ns)] if _knows_waits(report) else []),
        _Column("bubble", _bubble_ns, "bubble_ns"),
    ]
    return _rank_section(report, "Time", columns, ("hidden", lambda f: share_text(f.hidden_share)))


def bubble_section(report: Report) -> Section:
    """A row per rank: its bubble beside the ideal one, and by cause."""
    unit, steps = unit_of(report), max(len(report.per_step), 1)
    ideal = {} if report.ideal is None else {one.rank: one for one in report.ideal.ranks}

    def ideal_text(figures: TimeFigures) -> str:
        if isinstance(figures, RankFigures):
            return unit.text(ideal[figures.rank].bubble_ns / steps) if ideal else unit.text(None)
        mean = sum(one.bubble_ns for one in ideal.values()) / max(len(ideal), 1) / steps
        return unit.text(mean if ideal else None)

    columns = [
        _Column("bubble", _bubble_ns, "bubble_ns"),
        *_state_columns(report, BUBBLE_STATES),
    ]
    section = _rank_section(report, "Bubbles by cause", columns, ("ideal", ideal_text))
    return section if ideal else replace(section, notes=(*section.notes, _no_ideal(report)))


def waited_section(report: Report) -> Section:
    """Who the others waited for, most first, with the share of all ranks' bubbles."""
    unit, steps = unit_of(report), max(len(report.per_step), 1)
    rows = []
    for one in report.waited_for[:MOST_WAITED_FOR]:
        share = one.bubble_ns / report.total.bubble_ns if report.total.bubble_ns else None
        cells = (Cell(unit.text(one.bubble_ns / steps)), Cell(share_text(share)))
        rows.append((Cell(rank_label(one.rank)), *cells))
    title = f"Waited for ({unit.name} per step of other ranks' bubbles, share of all bubbles)"
    return Section(title, ("rank", "bubble", "share"), tuple(rows))


WHAT_WORDS = {"compute": "computing", "host": "idle"}
"""What a slot or a rank spends time on, in words."""


def slow_section(report: Report) -> Section:
    """Slots that take far longer than their siblings, the longest first."""
    unit = unit_of(report)
    rows = []
    for one in report.slow_slots:
        share = one.excess_ns / report.step_ns if report.step_ns else None
        times = (one.length_ns, one.siblings_ns, one.excess_ns)
        cells = [Cell(unit.text(time)) for time in times]
        place = Cell(f"{one.slot} of rank {one.rank}")
        rows.append((place, *cells, Cell(share_text(share)), Cell(WHAT_WORDS[one.what])))
    return Section(
        f"Slow slots ({unit.name}, against the same operation on the rank's other micro-batches)",
        ("slot", "takes", "siblings", "more", "share", "what"),
        tuple(rows),
    )


def link_section(report: Report) -> Section:
    """Links whose messages take far longer than those of the others, the costliest first."""
    unit = unit_of(report)
    rows = []
    for one in report.slow_links:
        share = one.excess_ns / report.step_ns if report.step_ns else None
        times = (one.message_ns, one.others_ns, one.excess_ns)
        cells = [Cell(unit.text(time)) for time in times]
        link = Cell(f"rank {one.sender} to rank {one.receiver}")
        rows.append((link, Cell(str(one.messages)), *cells, Cell(share_text(share))))
    return Section(
        f"Slow links ({unit.name}; a message under way, against those of the other links)",
        ("link", "messages", "takes", "others", "cost per step", "share"),
        tuple(rows),
    )


def outlier_section(report: Report) -> Section:
    """What one step took far longer than the others, the longest first."""
    unit = unit_of(report)
    rows = []
    for one in report.outliers:
        place = f"{one.slot} of " * bool(one.slot) + f"rank {one.rank}"
        times = (one.length_ns, one.usual_ns, one.excess_ns)
        cells = [Cell(unit.text(time)) for time in times]
        rows.append((Cell(str(one.step)), Cell(place), *cells, Cell(WHAT_WORDS[one.what])))
    return Section(
        f"Outliers ({unit.name}, one step against the others)",
        ("step", "where", "takes", "usually", "more", "what"),
        tuple(rows),
    )


def _no_ideal(report: Report) -> str:
    known = report.schedule is not None
    reason = "see the warnings" if known else "the schedule of the run is not known"
    return f"ideal: n/a, {reason}"


def _rank_section(
    report: Report,
    title: str,
    columns: Sequence[_Column],
    last: tuple[str, Callable[[TimeFigures], str]],
) -> Section:
    unit, steps = unit_of(report), max(len(report.per_step), 1)
    ranks = worst_first(report)

    def row(name: str, figures: TimeFigures, ranks: int) -> tuple[Cell, ...]:
        values = [(column.time_ns(figures), column.figure) for column in columns]
        cells = [
            Cell(unit.text(None))
            if value is None
            else Cell(
                bounded(unit.text(value / steps / ranks), name_of_time, figures),
                share_text(value / figures.window_ns if figures.window_ns else None),
            )
            for value, name_of_time in values
        ]
        return (Cell(name), *cells, Cell(last[1](figures)))

    shown = [row(rank_name(rank, report), rank, 1) for rank in ranks[:MOST_RANKS]]
    if len(ranks) > 1:
        shown.append(row("mean", report.total, len(ranks)))
    return Section(
        f"{title} ({unit.name} per step, share of the step; worst rank first)",
        ("rank", *(column.title for column in columns), last[0]),
        tuple(shown),
        (*_left_out(ranks), *([BOUNDS] if is_partial(report.total) else [])),
    )


def _left_out(ranks: Sequence[RankFigures]) -> tuple[str, ...]:
    more = len(ranks) - MOST_RANKS
    return (f"... and {more} more ranks; --format json has them all",) if more > 0 else ()
