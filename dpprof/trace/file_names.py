"""What names of files beside a run say: whose trace it is, that it is a memory snapshot."""

from __future__ import annotations

import re
from pathlib import Path

SNAPSHOT_ENDING = ".snapshot.json"
"""Of a memory snapshot as JSON, which lies beside the traces."""

SNAPSHOT_ENDINGS = (".pickle", ".pkl", SNAPSHOT_ENDING)

_PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tar.gz", ".tgz")
TRACE_ENDINGS = (".json", *(".json" + ending for ending in _PACKED), ".sqlite", ".nsys-rep")

_RANK_IN_NAME = re.compile(
    r"(?<![a-z])(?:rank|worker)[-_=]?(?:\[(\d{1,6})\]|\((\d{1,6})\)|(\d{1,6}))(?!\d)", re.IGNORECASE
)
_OF_A_PART = re.compile(
    r"(?:tp|dp|pp|ep|cp|sp|dcp|local|node|group|tensor|data|pipeline|expert|context|model"
    r"|parallel)[-_. ]*$",
    re.IGNORECASE,
)


def rank_in_name(file: Path) -> int | None:
    """The rank that a file's name gives (``rank3``, ``rank_3``, ``rank[3]``, ``worker3``).

    A rank within a part of the job (``tp_rank3``, ``local_rank_0``) is none.
    """
    place = _rank_place(file.name)
    return None if place is None else int(file.name[place])


def name_without_rank(file: Path) -> str:
    """The file's name with a ``*`` for its rank."""
    place = _rank_place(file.name)
    if place is None:
        return file.name
    return f"{file.name[: place.start]}*{file.name[place.stop :]}"


def _rank_place(name: str) -> slice | None:
    found = [
        match.span(next(number for number in (1, 2, 3) if match[number] is not None))
        for match in _RANK_IN_NAME.finditer(name)
        if not _OF_A_PART.search(name, 0, match.start())
    ]
    return slice(*found[-1]) if found else None
