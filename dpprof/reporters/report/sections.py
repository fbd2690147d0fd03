"""The further sections of a report: communication by kind, ideal, memory, regions."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.analysis.figures import KindFigures, MemoryFigures, RankFigures, TimeFigures
from dpprof.analysis.model import Report
from dpprof.analysis.observations import ExpertFigures, Ideal
from dpprof.reporters.blocks.bounds import bound_words
from dpprof.reporters.blocks.cells import Cell, Section, known_columns
from dpprof.reporters.blocks.slower_ranks import slower_notes
from dpprof.reporters.blocks.units import UNKNOWN, ByteUnit, TimeUnit, byte_unit, share_text
from dpprof.reporters.report.findings import findings_section
from dpprof.reporters.report.rank_sections import (
    MOST_RANKS,
    bubble_section,
    link_section,
    outlier_section,
    rank_name,
    slow_section,
    time_section,
    unit_of,
    waited_section,
)
from dpprof.tables.kinds import FUSED

MOST_LAYERS = 8


def report_sections(report: Report) -> Iterator[Section]:
    """All tables of a report, in reading order; those with nothing to say are left out."""
    if report.findings:
        yield findings_section(report.findings, report.step_ns)
    if report.per_step:
        yield time_section(report)
        yield bubble_section(report)
    if len(report.ranks) > 1 and report.waited_for:
        yield waited_section(report)
    if report.slow_slots:
        yield slow_section(report)
    if report.slow_links:
        yield link_section(report)
    if report.outliers:
        yield outlier_section(report)
    if report.ideal is not None:
        yield ideal_section(report, report.ideal)
    if kinds_with_time(report):
        yield kind_section(report)
    if report.halves:
        yield halves_section(report)
    if report.ranks:
        yield memory_section(report)
    if report.experts is not None:
        yield expert_section(report.experts)


def expert_section(experts: ExpertFigures) -> Section:
    """A row per layer, the most skewed first."""
    layers = sorted(experts.layers, key=lambda one: (-(one.skew or 0), one.layer))
    rows = [
        (
            Cell(str(one.layer)),
            Cell(f"{one.rows:,}"),
            Cell(f"expert {one.busiest_expert} {_times(one.expert_skew)}"),
            *(Cell(_times(skew)) for skew in (one.skew, one.placed_skew, one.copied_skew)),
        )
        for one in layers[:MOST_LAYERS]
    ]
    left = len(layers) - len(rows)
    notes = ("skew: rows of the busiest rank over the mean of the ranks, over all steps",)
    return Section(
        f"Experts ({experts.experts} in {experts.slots} slots on {experts.ranks} ranks; most "
        "skewed layer first)",
        ("layer", "rows", "busiest", "skew", "if placed", "if copied"),
        tuple(rows),
        (*notes, f"{left} more layers, less skewed") if left else notes,
    )


def _times(skew: float | None) -> str:
    return UNKNOWN if skew is None else f"x{skew:.2f}"


def kinds_with_time(report: Report) -> list[str]:
    """Communication kinds that took any time: messages of a model may take none."""
    by_kind = report.total.by_kind
    return [kind for kind, figures in by_kind.items() if figures.total_ns or figures.wait_ns]


_KIND_HEADS = ("kind", "transfer", "hidden", "exposed", "waiting")


def kind_section(report: Report) -> Section:
    """A row per communication kind, mean over ranks and steps."""
    unit = unit_of(report)
    count = max(len(report.per_step) * len(report.ranks), 1)
    rows = []
    known = report.total.blocking_ns is not None
    for kind in kinds_with_time(report):
        figures = report.total.by_kind[kind]
        times = (figures.total_ns, figures.hidden_ns, figures.exposed_ns)
        cells = [Cell(unit.text(time / count)) for time in times]
        cells.append(Cell(_waiting_text(figures, unit, count)))
        hidden = figures.hidden_ns / figures.total_ns if figures.total_ns else None
        hidden = None if figures.hidden_reason else hidden
        if known:
            blocking = figures.blocking_ns
            cells.append(Cell(unit.text(None if blocking is None else blocking / count)))
        rows.append((Cell(kind), *cells, Cell(share_text(hidden))))
    rows += _fused_rows(report.total, unit, count)
    rows.append(_with_waiting_row(report.total, unit, count))
    return Section(
        f"Communication by kind ({unit.name} per step, mean of the ranks)",
        (*_KIND_HEADS, *(["blocking"] if known else []), "hidden share"),
        tuple(rows),
        _kind_notes(report),
    )


def halves_section(report: Report) -> Section:
    """A row per kind of low-latency all-to-all that is sent and received apart, mean of ranks."""
    unit = unit_of(report)
    rows = []
    for kind in sorted({one.kind for one in report.halves}):
        own = [one for one in report.halves if one.kind == kind]
        count = max(len(report.per_step), 1) * len(own)
        times = ("send_ns", "receive_ns", "between_ns", "possible_ns")
        cells = [Cell(unit.text(sum(getattr(one, t) for one in own) / count)) for t in times]
        rows.append((Cell(kind), Cell(str(sum(one.calls for one in own) // count)), *cells))
    return Section(
        f"Possible hiding between sends and receives ({unit.name} per step, mean of the ranks)",
        ("kind", "calls", "in sends", "in receives", "between", "computing between"),
        tuple(rows),
        (
            "between its halves a transfer goes on without a kernel: computing there may hide it, "
            "no more than the last column, and no trace tells how much",
        ),
    )


def _fused_rows(total: TimeFigures, unit: TimeUnit, count: int) -> Iterator[tuple[Cell, ...]]:
    """The time of kernels that communicate and compute in one, of which no more is known."""
    if total.states_ns[FUSED]:
        texts = (FUSED, unit.text(total.states_ns[FUSED] / count), *[unit.text(None)] * 4)
        yield tuple(map(Cell, texts))


def _waiting_text(figures: KindFigures, unit: TimeUnit, count: int) -> str:
    """What was waited, as far as it is known."""
    text = unit.text(None if figures.wait_ns is None else figures.wait_ns / count)
    return f"{bound_words('wait_ns', figures)} {text}".strip()


def _with_waiting_row(total: TimeFigures, unit: TimeUnit, count: int) -> tuple[Cell, ...]:
    whole = total.including_wait
    times = (whole.communication_ns, whole.hidden_ns, whole.exposed_ns)
    shown = [unit.text(time / count) for time in times]
    texts = ("all, with waiting", *shown, "", share_text(whole.hidden_share))
    return tuple(map(Cell, texts))


def _kind_notes(report: Report) -> tuple[str, ...]:
    whole = "all, with waiting: whole communications with what they waited, as other tools count"
    reason = report.total.hidden_reason
    return (whole, f"hidden share: n/a, {reason}") if reason else (whole,)


def ideal_section(report: Report, ideal: Ideal) -> Section:
    """Measured beside what the schedule allows, and where the difference comes from."""
    unit, steps = unit_of(report), ideal.steps
    worst = max((rank.bubble_ns for rank in report.ranks), default=0)
    outside = max((rank.measured_outside_slots_ns for rank in ideal.ranks), default=0)
    form_text = unit.text(_per(ideal.closed_form_ns, steps))
    rows = [
        ("step time", report.window_ns, ideal.window_ns, ""),
        ("bubble of the worst rank", worst, ideal.bubble_ns, form_text),
        ("most time outside slots", outside, ideal.bubble_ns, ""),
    ]
    cells = tuple(
        (
            Cell(name),
            Cell(unit.text(measured / steps)),
            Cell(unit.text(least / steps)),
            Cell(_signed(unit, (measured - least) / steps)),
            Cell(form),
        )
        for name, measured, least, form in rows
    )
    form = f"closed form {ideal.closed_form}" if ideal.closed_form else "no closed form"
    notes = (
        _difference(ideal, unit),
        f"{form}: {ideal.note}" if ideal.note else form,
        *slower_notes(report.slower_ranks, report.findings, unit),
    )
    return Section(
        f"Ideal beside measured ({unit.name} per step; ideal: the run's own chunk times, free "
        "messages)",
        ("", "measured", "ideal", "difference", "closed form"),
        cells,
        notes,
    )


def _per(total: int | None, steps: int) -> float | None:
    return None if total is None else total / steps


def _signed(unit: TimeUnit, time_ns: float) -> str:
    return f"{time_ns / unit.nanoseconds:+.2f}"


def _difference(ideal: Ideal, unit: TimeUnit) -> str:
    """Mean over the ranks of the difference by state, the largest first."""
    sums: dict[str, int] = {}
    for rank in ideal.ranks:
        for state, change in rank.difference_ns.items():
            sums[state] = sums.get(state, 0) + change
    count = len(ideal.ranks) * ideal.steps
    smallest = 0.005 * unit.nanoseconds
    parts = [
        f"{'inside slots' if state == 'slots' else state} {_signed(unit, change / count)}"
        for state, change in sorted(sums.items(), key=lambda item: -abs(item[1]))
        if abs(change / count) >= smallest
    ]
    return f"difference by state, mean of the ranks: {', '.join(parts) or 'none'}"


def memory_section(report: Report) -> Section:
    """A row per rank: peak, when, and of what."""
    ranks = sorted(report.ranks, key=lambda rank: rank.rank)
    unit = byte_unit(report.total.memory.peak_allocated_bytes)
    rows = tuple(_memory_row(rank, report, unit) for rank in ranks[:MOST_RANKS])
    more = len(ranks) - MOST_RANKS
    left_out = [f"... and {more} more ranks; --format json has them all"] if more > 0 else []
    reasons = dict.fromkeys(reason for rank in ranks for reason in rank.memory.reasons)
    title = f"Memory at each rank's peak ({unit.name}; static: parameters, gradients, optimizer)"
    return known_columns(Section(title, _MEMORY_TITLES, rows, (*left_out, *reasons)))


_MEMORY_TITLES: tuple[str, ...] = (
    "rank",
    "stages",
    "allocated",
    "reserved",
    "in slot",
    "in flight",
    "static",
    "activations",
    "communication",
    "rest",
    "predicted",
)


def _memory_row(rank: RankFigures, report: Report, unit: ByteUnit) -> tuple[Cell, ...]:
    memory = rank.memory
    texts = (
        rank_name(rank, report),
        ", ".join(map(str, rank.stages)) or UNKNOWN,
        unit.text(memory.peak_allocated_bytes),
        unit.text(memory.peak_reserved_bytes),
        memory.slot or UNKNOWN,
        _in_flight(memory),
        unit.text(_static(memory)),
        unit.text(memory.activation_bytes),
        unit.text(memory.communication_bytes),
        unit.text(memory.rest_bytes),
        unit.text(memory.predicted_bytes),
    )
    return tuple(map(Cell, texts))


def _in_flight(memory: MemoryFigures) -> str:
    """``3+2 of 5``: by direction, and the most that the schedule holds."""
    if memory.in_flight is None:
        return UNKNOWN
    held = "+".join(map(str, memory.in_flight.values()))
    most = memory.predicted_in_flight
    return held if most is None else f"{held} of {most}"


def _static(memory: MemoryFigures) -> int | None:
    parts = (memory.parameter_bytes, memory.gradient_bytes, memory.optimizer_bytes)
    return None if None in parts else sum(part or 0 for part in parts)
