"""Baselines for people: one with all its figures, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dpprof.gate.names import JOB_FIGURES, RANK_FIGURES
from dpprof.gate.snapshot import FigureSnapshot, RankColumn, RunIdentity
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.blocks.units import UNKNOWN, share_text
from dpprof.reporters.gate.sentences import value_text
from dpprof.statistics.figure import Figure, Number, Unit


def snapshot_document(name: str, snapshot: FigureSnapshot) -> Document:
    """Every figure that a rule can ask for, of the job and over the ranks."""
    job = [_job_row(figure, unit, snapshot) for figure, unit in JOB_FIGURES.items()]
    return Document(
        title=f"{name}: {_identity(snapshot.identity)}",
        about=tuple(_about(snapshot)),
        answer=(),
        blocks=(
            Section(
                "Figures of the job (per step; mean of the ranks, of memory the largest)",
                ("metric", "value", "spread of steps", "spread of runs", "of ranks"),
                tuple(tuple(map(Cell, row)) for row in job if row),
                notes=(
                    "of each rank: rank3.METRIC, any.METRIC, stage1.METRIC; what is not listed "
                    "took no time",
                    "exposed.dispatch_ns: a state of the step, in which each moment has one kind; "
                    "dispatch.exposed_ns: of the operations of that kind, beside others or not",
                    *(f"{what}: {why}" for what, why in snapshot.missing.items()),
                ),
            ),
        ),
    )


def _about(snapshot: FigureSnapshot) -> list[str]:
    steps = ", ".join(map(str, snapshot.steps))
    made = f", {snapshot.created}" if snapshot.created else ""
    lines = [f"runs: {', '.join(snapshot.runs)}; steps: {steps}{made}; dpprof {snapshot.dpprof}"]
    identity = snapshot.identity
    known = {**identity.mesh, **identity.sizes, "costs": identity.costs, **identity.versions}
    words = [f"{key} {value}" for key, value in known.items() if value is not None]
    return lines + [", ".join(words)] * bool(words)


def _job_row(name: str, unit: Unit, snapshot: FigureSnapshot) -> tuple[str, ...]:
    if unit == "text":
        value = getattr(snapshot.identity, name)
        return (name, value or UNKNOWN, "", "", "") if value else ()
    figure = snapshot.job.get(name)
    if figure is None:
        return ()
    column = snapshot.ranks.get(name) if name in RANK_FIGURES else None
    return (
        name,
        value_text(figure.mean, unit),
        _spread(figure.step_sd, figure),
        _spread(figure.run_sd, figure),
        _range(column, unit),
    )


def _spread(spread: Number | None, figure: Figure) -> str:
    return share_text(spread / abs(figure.mean)) if spread is not None and figure.mean else ""


def _range(column: RankColumn | None, unit: Unit) -> str:
    known = [] if column is None else [value for value in column.mean if value is not None]
    if len(known) < 2:
        return ""
    return f"{value_text(min(known), unit)} to {value_text(max(known), unit)}"


def list_document(folder: str, snapshots: Mapping[str, FigureSnapshot]) -> Document:
    """A row per baseline file."""
    rows = [_list_row(name, snapshot) for name, snapshot in snapshots.items()]
    return Document(
        title=f"{len(rows)} baseline{'s' * (len(rows) != 1)} in {folder}",
        about=(),
        answer=(),
        blocks=(
            Section(
                "Baselines",
                ("file", "what", "steps", "step time", "bubble", "hidden", "peak"),
                tuple(tuple(map(Cell, row)) for row in rows),
                text_columns=2,
            ),
        )
        * bool(rows),
    )


def _list_row(name: str, snapshot: FigureSnapshot) -> Sequence[str]:
    figures = (
        ("step_ns", "ns"),
        ("bubble_share", "share"),
        ("hidden_share", "share"),
        ("peak_allocated_bytes", "bytes"),
    )
    values = [
        value_text(snapshot.job[figure].mean if figure in snapshot.job else None, unit)  # type: ignore[arg-type]
        for figure, unit in figures
    ]
    steps = "+".join(map(str, snapshot.steps))
    return (name, _identity(snapshot.identity), steps, *values)


def _identity(identity: RunIdentity) -> str:
    words = [identity.schedule or "schedule not known"]
    if identity.pp is not None:
        words.append(f"PP {identity.pp}")
    if identity.micro_batches is not None:
        words.append(f"{identity.micro_batches} micro-batches")
    words.append(f"{len(identity.ranks)} rank{'s' * (len(identity.ranks) != 1)}")
    words.append(identity.device_name or identity.device or identity.source)
    return ", ".join(words) + (f", {identity.source}" if identity.source != "captured" else "")
