"""Finds the memory snapshots of a run: named, in ``run.json``, or beside the traces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.trace.file_names import SNAPSHOT_ENDINGS, rank_in_name

_OF_RANK = re.compile(r"(?:memory_)?snapshot[-_]?(\d{1,6})\.\w+|(\d{6})_step_\d+\.\w+")
_NAMED = re.compile(r"(\d{1,6})=(.+)")


class SnapshotFile(NamedTuple):
    """A rank's snapshot; `named` says that someone asked for it, so that it must be one."""

    file: Path
    named: bool


def ranks_of(files: Sequence[str], ranks: Sequence[int]) -> dict[int, Path]:
    """Rank -> file, from ``FILE`` with the rank in its name, or ``RANK=FILE``.

    A file for a run of one rank needs neither. Raises `DpprofError` for files of no rank of the
    run, or two of the same.
    """
    found: dict[int, Path] = {}
    for text in files:
        match = _NAMED.fullmatch(text)
        file = Path(match[2]) if match else Path(text)
        rank = int(match[1]) if match else rank_in_name(file)
        if rank is None and len(ranks) == 1:
            rank = ranks[0]
        if rank is None:
            raise DpprofError(f"{file}: its name says no rank; write 0={file} for rank 0")
        if rank not in ranks:
            raise DpprofError(
                f"{file}: is of rank {rank}, which the run does not have; give it as RANK={file}"
            )
        if rank in found:
            raise DpprofError(f"{found[rank]} and {file}: both are of rank {rank}; give one")
        found[rank] = file
    return found


def find_snapshots(
    run: Run, given: Mapping[int, Path]
) -> tuple[dict[int, SnapshotFile], list[str]]:
    """Rank -> its snapshot, where it has one; what is `given` comes first. And warnings."""
    found: dict[int, SnapshotFile] = {}
    warnings = []
    for place in run.places:
        trace = run.files.get(place.rank)
        if place.rank in given:
            found[place.rank] = SnapshotFile(given[place.rank], True)
        elif trace is not None and place.memory_snapshot is not None:
            found[place.rank] = SnapshotFile(trace.parent / _inside(place.memory_snapshot), True)
        elif trace is not None:
            beside = _beside(trace.parent, place.rank)
            if len(beside) == 1:
                found[place.rank] = SnapshotFile(beside[0], False)
            elif beside:
                names = ", ".join(file.name for file in beside[:4])
                warnings.append(
                    f"rank {place.rank}: several memory snapshots ({names}) and none is used; name "
                    "one with --memory-snapshot"
                )
    return found, warnings


def _inside(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise DpprofError(
            f"run.json: memory_snapshot {name!r} is outside the run folder; give a file inside it"
        )
    return str(path)


def _beside(folder: Path, rank: int) -> list[Path]:
    """Snapshots of a rank with its trace, or where torchtitan puts those of the same iteration."""
    found = [file for file in _snapshots_in(folder) if _rank_of(file) == rank]
    return found or [
        file
        for file in _snapshots_in(folder.parent.parent / "memory_snapshot" / folder.name)
        if _rank_of(file) == rank
    ]


def _snapshots_in(folder: Path) -> list[Path]:
    try:
        files = [file for file in folder.iterdir() if file.name.endswith(SNAPSHOT_ENDINGS)]
    except OSError:
        return []
    return sorted(file for file in files if file.is_file())


def _rank_of(file: Path) -> int | None:
    """The rank in a snapshot's name: ``rank3...``, ``snapshot_3``, ``000003_step_10``."""
    rank = rank_in_name(file)
    if rank is not None:
        return rank
    found = _OF_RANK.fullmatch(file.name)
    return int(found[1] or found[2]) if found else None
