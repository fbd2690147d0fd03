"""Ranks of traces that do not say theirs, and traces that cannot be of one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.tables.columns import END, START
from dpprof.tables.devices import rank_of
from dpprof.trace.rank.rank_part import RankPart
from dpprof.trace.rank.read_file import UNRANKED
from dpprof.trace.source.recordings import or_one_of

_NUMBERS = re.compile(r"(\d{1,6})")
_FEW = range(2, 9)  # files that are all listed


def numbers_in_names(files: Sequence[Path]) -> list[int] | None:
    """One number for each file: the only one in which their names differ, if it counts from 0.

    It may stand in a name several times (``TP-0-EP-0``). None where there is no such number:
    ``trace_0.json`` and ``trace_1.json`` have one, names with a host and a process have not.
    """
    split = [_NUMBERS.split(file.name) for file in files]
    if len(files) < 2 or len({len(one) for one in split}) != 1:
        return None
    columns = [set(column) for column in zip(*split, strict=True)]
    differing = [place for place, column in enumerate(columns) if len(column) > 1]
    read = {tuple(one[place] for one in split) for place in differing}
    if len(read) != 1 or differing[0] % 2 == 0:
        return None
    numbers = [int(number) for number in read.pop()]
    return numbers if sorted(numbers) == list(range(len(files))) else None


def with_ranks(parts: Sequence[RankPart]) -> tuple[list[RankPart], list[str]]:
    """The parts that have a rank, and a word on files without one that are no rank's.

    A front end's trace holds host rows only, beside those of ranks that hold device activities.
    Raises `DpprofError` for any other trace that nobody knows the rank of.
    """
    ranked = [part for part in parts if part.rank != UNRANKED]
    without = [part for part in parts if part.rank == UNRANKED]
    others = [part for part in without if part.on_gpu or not any(one.on_gpu for one in ranked)]
    if others:
        raise DpprofError(
            f"{others[0].file}: neither the trace nor its name says which rank it is; name the "
            f"files rank0.json.gz, rank1.json.gz, ..., or give ranks: {_typed(parts)}"
            f"{or_one_of([part.file for part in parts])}"
        )
    return ranked, [
        f"{part.file.name}: holds host rows only and says no rank, as the trace of a front end "
        "does beside those of its ranks: it is left out"
        for part in without
    ]


def _typed(parts: Sequence[RankPart]) -> str:
    """What to type; where no file tells its rank, with the files by the numbers in their names."""
    files = sorted({part.file for part in parts}, key=_numbers_of)
    if len(files) not in _FEW or any(part.rank != UNRANKED for part in parts):
        return "0=FILE,1=FILE"
    typed = ",".join(f"{rank}={file}" for rank, file in enumerate(files))
    return f"'{typed}', if they are in the order of their ranks"


def _numbers_of(file: Path) -> tuple[list[int], str]:
    return [int(number) for number in _NUMBERS.findall(file.name)], file.name


def numbering_warnings(parts: Sequence[RankPart]) -> list[str]:
    """A word on ranks that only numbers in names tell.

    Raises `DpprofError` where such traces follow one another in time: one rank's, of several
    steps.
    """
    numbered = [part for part in parts if part.identity.numbered]
    if not numbered or len({part.file for part in parts}) < 2:
        return []
    if not have_time_in_common(parts):
        raise DpprofError(
            f"{numbered[0].file}: neither the traces nor their names say which ranks they are, and "
            "they follow one another in time, as those of one rank do; give one of them, or name "
            "the files rank0.json.gz, rank1.json.gz, ..."
        )
    return [
        "the traces do not say which ranks they are: the numbers in the files' names, 0 to "
        f"{len({rank_of(part.rank) for part in parts}) - 1}, are taken for the ranks"
    ]


def mixed_warnings(parts: Sequence[RankPart]) -> list[str]:
    """What speaks against the traces being of one run."""
    warnings = []
    worlds: dict[int, list[int]] = {}
    for part in parts:
        if part.identity.world_size is not None:
            worlds.setdefault(part.identity.world_size, []).append(part.rank)
    if len(worlds) > 1:
        said = "; ".join(
            f"{size} ranks by rank {', '.join(map(str, ranks[:8]))}"
            + (", ..." if len(ranks) > 8 else "")
            for size, ranks in sorted(worlds.items())
        )
        warnings.append(
            f"the traces are of different jobs: the world has {said}; nothing that compares these "
            "ranks holds, give the traces of one job"
        )
    if len(parts) > 1 and not have_time_in_common(parts):
        warnings.append(
            "the traces have no instant in common: they are of different runs or steps, or clocks "
            "are off by more than the traces take; nothing that compares ranks holds"
        )
    return warnings


def have_time_in_common(parts: Sequence[RankPart]) -> bool:
    """Whether any instant lies in all traces that hold activities."""
    spans = [part.spans for part in parts if len(part.spans)]
    begins = [int(one[START].min()) for one in spans]
    ends = [int(one[END].max()) for one in spans]
    return not spans or max(begins) <= min(ends)
