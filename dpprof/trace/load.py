"""Loads a run: finds its traces, reads every rank, and joins them into one `Run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
from msgspec import structs

from dpprof.errors import DpprofError
from dpprof.evidence.evidence import Evidence, without_jumping
from dpprof.runs.manifest import Manifest, RankPlace, Source
from dpprof.runs.run import Run
from dpprof.schedules.form import schedule_from_json
from dpprof.schedules.schedule import Schedule
from dpprof.tables.columns import HOST_SPANS, MEMORY, SLOTS, STEP, STEPS, WAITS, empty_table
from dpprof.tables.concat import concat_tables
from dpprof.tables.devices import rank_of, rank_order
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.only_hosts import NO_DEVICE
from dpprof.trace.activities.steps import StepChoice, choose_steps
from dpprof.trace.activities.unknown_kernels import unknown_evidence
from dpprof.trace.file_names import RunPaths
from dpprof.trace.match.align_clocks import align_parts, shifted_as_ranks
from dpprof.trace.match.communicators import with_members
from dpprof.trace.match.join_ranks import find_peers, join_events
from dpprof.trace.match.posted import unmatched_messages
from dpprof.trace.memory.join_snapshots import with_snapshots
from dpprof.trace.memory.snapshot_files import ranks_of
from dpprof.trace.rank.rank_part import RankPart
from dpprof.trace.read.unpack import beginning
from dpprof.trace.read.writers import written_by
from dpprof.trace.recognise.observed_schedule import AS_RUN
from dpprof.trace.recognise.schedule import recognise
from dpprof.trace.source.files import find_files
from dpprof.trace.source.rank_numbers import mixed_warnings
from dpprof.trace.source.read_ranks import HERE, Reading, read_parts
from dpprof.trace.source.remote_runs import brought_here


def load_run(
    path: RunPaths,
    *,
    steps: str | None = None,
    whole_trace: bool = False,
    patterns: Sequence[KindRule] = (),
    snapshots: Sequence[str] = (),
    reading: Reading = HERE,
) -> Run:
    """The run at `path`: a run folder, a folder or glob of traces, one trace, or several.

    ``0=FILE,1=FILE``, or a mapping, gives ranks to traces. What lies elsewhere (``s3://``,
    ``https://``, ...) is copied here once. `steps` picks marked steps (``3-5``,
    ``2,4-6``); with `whole_trace`, or where the trace marks
    no steps, everything is step 0. `patterns` are the user's own rules for kinds. Events are
    sorted by rank, then as in the file. ``READY`` is -1 where a communication could not be
    matched with all its participants (unsplit). `snapshots` are CUDA memory snapshots, as FILE or
    RANK=FILE, beside those that lie with the traces.
    `reading` says where the work is done. Raises `DpprofError` that names the file.
    """
    if whole_trace and steps is not None:
        raise DpprofError("--whole-trace takes every step; leave out --steps, or pick steps only")
    files = find_files(brought_here(path, reading.fetched))
    ranks, reading_warnings = read_parts(files, patterns, reading)
    if files.manifest is None:
        _refuse_nothing(ranks)
    ranks, unrecorded = _recorded(ranks)
    ranks, further = _first_devices(ranks)
    ranks, member_words = with_members(ranks)
    peers, missing = find_peers(ranks, files.manifest)
    warnings = [f"{file.name}: is no trace, and left out" for file in files.left_out]
    warnings += member_words
    warnings += mixed_warnings(ranks)
    aligned = align_parts(ranks, peers)
    ranks, clocks = aligned.parts, aligned.clocks
    manifest = files.manifest
    choice = StepChoice((0,), ())
    if not whole_trace:
        _refuse_other_names(ranks, reading.step_range)
        choice, step_warnings = _steps(ranks, steps, manifest)
        warnings += step_warnings
    places, schedule = _places(ranks, manifest), _schedule(manifest)
    if schedule is None:
        ranks, places, schedule = recognise(
            ranks, places, _slot_steps(ranks) if whole_trace else choice.used
        )
        warnings += [_AS_RUN] if schedule is not None and schedule.name == AS_RUN else []
    events, matching_warnings, matching = join_events(aligned._replace(parts=list(ranks)), peers)
    if further:
        further = shifted_as_ranks(further, clocks)
        ranks = sorted([*ranks, *further], key=lambda one: rank_order(one.rank))
        events, places = events.beside(further), _places_beside(places, further)
    run = Run(
        name=files.name,
        source=_source(ranks, manifest),
        held=events.as_one_step() if whole_trace else events,
        places=places,
        schedule=schedule,
        manifest=_with_places(manifest, places),
        slots=concat_tables(SLOTS, [rank.slots for rank in ranks]),
        memory=concat_tables(MEMORY, [rank.memory for rank in ranks]),
        steps=concat_tables(STEPS, [rank.steps for rank in ranks]),
        used_steps=choice.used,
        dropped_steps=choice.dropped,
        warnings=(
            *reading_warnings,
            *(warning for rank in ranks for warning in rank.warnings),
            *warnings,
            *aligned.warnings,
            *matching_warnings,
        ),
        files={rank.rank: rank.file for rank in ranks},
        clocks=clocks,
        world_size=peers.world_size,
        host_spans=concat_tables(HOST_SPANS, [rank.host_spans for rank in ranks]),
        waits=concat_tables(WAITS, [rank.waits for rank in ranks]),
        knows_waits=[rank.rank for rank in ranks if rank.knows_waits],
        evidence=(
            *unrecorded,
            *(one for rank in ranks for one in rank.evidence),
            *unknown_evidence(
                {rank.rank: rank.unknown for rank in ranks}, sum(rank.count for rank in ranks)
            ),
            *aligned.evidence,
            *missing,
            *matching,
            *unmatched_messages(events.communications, choice.used),
        ),
        devices={
            rank.rank: rank.identity.device_number
            for rank in ranks
            if rank.identity.device_number is not None
        },
    )
    run = _as_one_step(run) if whole_trace else run
    return with_snapshots(run, ranks_of(snapshots, [rank.rank for rank in ranks]))


def _first_devices(ranks: Sequence[RankPart]) -> tuple[list[RankPart], list[RankPart]]:
    """The parts that stand for their ranks, and those of further devices of the same processes.

    What the devices of one process do with one another is no matter of ranks: only the first is
    compared with other ranks.
    """
    first = [one for one in ranks if one.identity.is_first]
    return first, [one for one in ranks if not one.identity.is_first]


def _places_beside(
    places: Sequence[RankPlace], further: Sequence[RankPart]
) -> tuple[RankPlace, ...]:
    """The places with those of further devices, which are where their ranks are."""
    known = {place.rank: place for place in places}
    more = (structs.replace(known[rank_of(one.rank)], rank=one.rank) for one in further)
    return tuple(sorted([*places, *more], key=lambda place: rank_order(place.rank)))


_AS_RUN = (
    "the order of the slots is that of no schedule known by name: the schedule is taken as it ran, "
    "the same in every step, and the ideal is this very order with free messages"
)


def _recorded(ranks: Sequence[RankPart]) -> tuple[list[RankPart], list[Evidence]]:
    """The ranks whose device was recorded, and what there is to say of the others.

    Raises `DpprofError` where none was.
    """
    unrecorded = {
        part.rank: one for part in ranks for one in part.evidence if one.check == NO_DEVICE
    }
    kept = [part for part in ranks if part.rank not in unrecorded]
    if not kept and unrecorded:
        raise DpprofError("; ".join(one.text for one in unrecorded.values()))
    return kept, [
        replace(one, text=f"{one.text}; rank {rank} is left out of all figures")
        for rank, one in unrecorded.items()
    ]


def _slot_steps(ranks: Sequence[RankPart]) -> set[int]:
    return {step for rank in ranks for step in rank.slots[STEP].unique().tolist()}


def _refuse_nothing(ranks: Sequence[RankPart]) -> None:
    """Raise `DpprofError` where no file holds anything that could be analyzed."""
    if not any(rank.count or rank.marked or len(rank.memory) for rank in ranks):
        wrote = written_by(beginning(ranks[0].file))
        raise DpprofError(
            f"{ranks[0].file}: {wrote}{', and ' if wrote else ''}holds no device activity, no "
            "steps and no memory events that can be read; give a trace that torch.profiler wrote"
        )


def explain_kinds(
    path: RunPaths,
    patterns: Sequence[KindRule] = (),
    reading: Reading = HERE,
) -> pd.DataFrame:
    """Which rule gave which activities their kind: one row per distinct evidence and rank.

    Columns: rank, category, name, collective, group, annotation, call, kind, rule, activities
    (a count), total_ns.
    """
    ranks, _ = read_parts(find_files(brought_here(path, reading.fetched)), patterns, reading)
    tables = [rank.explained().assign(rank=rank.rank) for rank in ranks]
    table = pd.concat(tables, ignore_index=True)
    return table[["rank", *(name for name in table.columns if name != "rank")]]


def _refuse_other_names(ranks: Sequence[RankPart], step_range: str) -> None:
    """Raise `DpprofError` where no range is called as the user says that steps are."""
    if step_range and not any(rank.marked for rank in ranks):
        raise DpprofError(
            f"--step-range {step_range!r}: no range of {ranks[0].file.name} has such a name; "
            "patterns are of whole names, as 'iteration*'"
        )


def _steps(
    ranks: Sequence[RankPart],
    wanted: str | None,
    manifest: Manifest | None,
) -> tuple[StepChoice, list[str]]:
    found = [one for rank in ranks for one in rank.evidence]
    timed = without_jumping((rank.rank for rank in ranks if rank.marked), found)
    marked = [rank.marked for rank in ranks if rank.rank in timed or not rank.marked]
    if not any(marked):
        if wanted is not None:
            raise DpprofError(f"--steps {wanted}: the trace marks no steps; leave --steps out")
        warning = (
            "the trace marks no steps (ProfilerStep): the whole trace is taken as one window, "
            "with whatever warm-up it holds"
        )
        return StepChoice((0,), ()), [warning]
    measured = manifest.steps.measured if manifest is not None else ()
    warmup = manifest.steps.warmup if manifest is not None else ()
    return choose_steps(marked, wanted, measured, warmup), []


def _as_one_step(run: Run) -> Run:
    zero = {STEP: np.int32(0)}
    return replace(
        run,
        slots=run.slots.assign(**zero).astype({STEP: SLOTS[STEP]}),
        memory=run.memory.assign(**zero).astype({STEP: MEMORY[STEP]}),
        steps=empty_table(STEPS),
    )


def _source(ranks: Sequence[RankPart], manifest: Manifest | None) -> Source:
    if manifest is not None:
        return manifest.source
    return next((one.identity.source for one in ranks if one.identity.source), "captured")


def _schedule(manifest: Manifest | None) -> Schedule | None:
    if manifest is None or manifest.schedule is None:
        return None
    return schedule_from_json(manifest.schedule)


def _with_places(manifest: Manifest | None, places: tuple[RankPlace, ...]) -> Manifest | None:
    """The manifest with the ranks that the traces tell of, where it lists none itself."""
    if manifest is None or manifest.ranks:
        return manifest
    return msgspec.structs.replace(manifest, ranks=list(places))


def _places(ranks: Sequence[RankPart], manifest: Manifest | None) -> tuple[RankPlace, ...]:
    listed = {place.rank: place for place in manifest.ranks} if manifest is not None else {}
    return tuple(
        listed.get(one.rank) or one.identity.place or RankPlace(rank=one.rank, pp_rank=one.rank)
        for one in ranks
    )
