"""One trace file to the tables of the ranks, and devices of ranks, that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpprof.errors import FileFault, faults_of
from dpprof.evidence.evidence import COMMUNICATION, Evidence
from dpprof.trace.activities.faults import Fault
from dpprof.trace.activities.inference_steps import with_inference_steps
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.possible_times import checked
from dpprof.trace.activities.step_ranges import with_found_steps, with_step_ranges
from dpprof.trace.file_formats import Format, format_of
from dpprof.trace.file_names import rank_in_name
from dpprof.trace.nsys.export import exported
from dpprof.trace.nsys.reader import read_nsys
from dpprof.trace.rank.identity import TraceIdentity, identify
from dpprof.trace.rank.tables import RankTables, make_tables
from dpprof.trace.read.columns import DEVICE_CATEGORIES, Nanoseconds
from dpprof.trace.read.parse import read_trace
from dpprof.trace.read.primus import read_primus
from dpprof.trace.read.split import Share, split_processes, split_trace
from dpprof.trace.read.writers import refuse_foreign

UNRANKED = -1
"""The rank of a trace that does not say one, as long as nobody else has."""


def read_file(
    file: Path,
    rank: int | None,
    patterns: Sequence[KindRule] = (),
    *,
    given: bool = False,
    step_range: str = "",
) -> list[RankTables]:
    """Read one trace file; `rank` is used where neither the trace nor the file's name says one.

    A rank that is `given` by the user counts before both. Where no rank is known, it is
    `UNRANKED`. `step_range` says which ranges are steps (`with_step_ranges`). Raises `DpprofError`
    that names the file where it cannot be read, was written by another profiler, or holds several
    ranks that cannot be told apart.
    """
    asked = _Asked(rank, given, rank_in_name(file), patterns)
    form = format_of(file)
    with faults_of(file):
        shares = [_with_steps(share, form, step_range) for share in _shares(file, form)]
        tables = _read_shares(shares, asked)
    tables = [_of_file(one, file.name) for one in tables]
    if form is Format.PRIMUS:
        tables = [replace(one, evidence=(*one.evidence, _no_messages(one))) for one in tables]
    return tables


class _Asked(NamedTuple):
    """What is known of a trace from outside: a rank, if the user gives it, and the name's."""

    rank: int | None
    given: bool
    named: int | None
    patterns: Sequence[KindRule]


def _read_shares(shares: Sequence[Share], asked: _Asked) -> list[RankTables]:
    """The tables of the shares; warnings and faults do not name the file yet."""
    if asked.given and shares[0].process is not None:
        raise FileFault(
            "several ranks are merged into one file, which cannot be given as rank "
            f"{asked.rank}; give the file alone, or each rank's own trace"
        )
    shares, faults = _checked(shares)
    tables = [_with_words(_read_share(share, asked), share.words) for share in shares]
    tables = [_with_faults(*one) for one in zip(tables, faults, strict=True)]
    return [_with_words(tables[0], _merged_words(shares)), *tables[1:]]


def _of_file(tables: RankTables, name: str) -> RankTables:
    """The tables, with the file's name in everything that is said of it."""
    words = tuple(f"{name}: {word}" for word in tables.warnings)
    evidence = tuple(replace(one, text=f"{name}: {one.text}") for one in tables.evidence)
    return replace(tables, warnings=words, evidence=evidence)


def _no_messages(tables: RankTables) -> Evidence:
    return Evidence(
        check="host-times-only",
        found=len(tables.events),
        of=len(tables.events),
        ranks=(tables.rank,),
        touches=COMMUNICATION,
        text="Primus' dumps time forwards and backwards alone: communication, hidden or exposed, "
        "is n/a and stands in the bubbles; profile with torch.profiler to see it",
    )


def _shares(file: Path, form: Format) -> list[Share]:
    match form:
        case Format.NSYS_REPORT:
            with exported(file) as export:
                return split_processes(read_nsys(export))
        case Format.NSYS_EXPORT:
            return split_processes(read_nsys(file))
        case Format.PRIMUS:
            return split_trace(read_primus(file))
        case Format.KINETO:
            trace = read_trace(file)
            refuse_foreign(trace)
            return split_trace(trace)


def _with_steps(share: Share, form: Format, step_range: str) -> Share:
    """The share whose steps are those that the user names, or, without marks, that are found."""
    if step_range:
        return share._replace(trace=with_step_ranges(share.trace, step_range))
    share = share._replace(trace=with_inference_steps(share.trace))
    by_nsys = form in (Format.NSYS_REPORT, Format.NSYS_EXPORT)
    return share._replace(trace=with_found_steps(share.trace)) if by_nsys else share


def _checked(shares: Sequence[Share]) -> tuple[list[Share], list[tuple[Fault, ...]]]:
    """The shares with times that can be, and the faults of each."""
    found = [checked(share.trace, _elsewhere(share, shares)) for share in shares]
    whole = [share._replace(trace=one.trace) for share, one in zip(shares, found, strict=True)]
    return whole, [one.faults for one in found]


def _merged_words(shares: Sequence[Share]) -> list[str]:
    processes = {one.process.rank: one.process for one in shares if one.process is not None}
    if not processes:
        return []
    shown = ", ".join(f"{one.name} is rank {rank}" for rank, one in list(processes.items())[:8])
    words = f"{len(processes)} ranks are merged into this file, and are taken apart: {shown}"
    words += ", ..." if len(processes) > 8 else ""
    if any(one.is_guess for one in processes.values()):
        words += "; nothing in it says which ranks they are: their order is taken for it"
    return [words]


def _read_share(share: Share, asked: _Asked) -> RankTables:
    identity = _identify(share, asked.named)
    own, rank = identity.rank, asked.rank
    if asked.given and rank is not None and own not in (None, rank):
        identity = replace(identity, rank=rank, place=None)
        tables = make_tables(share.trace, identity, asked.patterns)
        warning = f"says that it is rank {own}; taken for rank {rank}, as given"
        return replace(tables, warnings=(*tables.warnings, warning))
    if own is None:
        known = UNRANKED if rank is None else rank
        identity = replace(identity, rank=known, numbered=not asked.given)
    return make_tables(share.trace, identity, asked.patterns)


def _identify(share: Share, named: int | None) -> TraceIdentity:
    identity = identify(share.trace, named)
    if share.process is not None:
        identity = replace(identity, rank=share.process.rank, place=None)
    return replace(identity, device_number=share.device, is_first=share.is_first)


def _elsewhere(share: Share, shares: Sequence[Share]) -> Nanoseconds | None:
    """The correlations of work of the same process on other devices; None where it has one."""
    others = [one.trace for one in shares if one is not share and one.process == share.process]
    if share.device is None or not others:
        return None
    return np.concatenate([one.correlation[one.rows(*DEVICE_CATEGORIES)] for one in others])


def _with_faults(tables: RankTables, faults: Sequence[Fault]) -> RankTables:
    found = [fault.of_rank(tables.rank) for fault in faults]
    return replace(tables, evidence=(*tables.evidence, *found))


def _with_words(tables: RankTables, words: Sequence[str]) -> RankTables:
    return replace(tables, warnings=(*words, *tables.warnings))
