"""What paths say, as people and programs write them: whose trace it is, that it is a snapshot."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dpprof.errors import DpprofError

RunPath = str | os.PathLike[str]

RunPaths = RunPath | Sequence[RunPath] | Mapping[int, RunPath]
"""A run's place, several traces, or the trace of each rank."""

SNAPSHOT_ENDING = ".snapshot.json"
"""Of a memory snapshot as JSON, which lies beside the traces."""

SNAPSHOT_ENDINGS = (".pickle", ".pkl", SNAPSHOT_ENDING)

_PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tar.gz", ".tgz")
TRACE_ENDINGS = (
    *(form + packing for form in (".json", ".sqlite") for packing in ("", *_PACKED)),
    ".nsys-rep",
)

_RANK_IN_NAME = re.compile(
    r"(?<![a-z])(?:rank|worker)[-_=]?(?:\[(\d{1,6})\]|\((\d{1,6})\)|(\d{1,6}))(?!\d|:\d)",
    re.IGNORECASE,
)
_OF_A_PART = re.compile(
    r"(?:tp|dp|pp|ep|cp|sp|dcp|local|node|group|tensor|data|pipeline|expert|context|model"
    r"|parallel)[-_. ]*$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r",(?=\d+=)")
_ONE = re.compile(r"(\d{1,6})=(.+)", re.DOTALL)


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


def texts_by_rank(text: str) -> dict[int, str] | None:
    """What is given for each rank in ``0=FILE,1=FILE``; None where the text has another form.

    Raises `DpprofError` where a rank is given twice.
    """
    found = [_ONE.fullmatch(one) for one in _BETWEEN.split(text)]
    given: dict[int, str] = {}
    for one in found:
        if one is None:
            return None
        if int(one[1]) in given:
            raise DpprofError(f"{text}: gives rank {one[1]} twice; give one trace per rank")
        given[int(one[1])] = one[2]
    return given


def given_ranks(text: str) -> dict[int, Path] | None:
    """The trace of each rank in ``0=FILE,1=FILE``; None where the text has another form.

    Raises `DpprofError` where a rank is given twice or a file is not there.
    """
    given = texts_by_rank(text)
    if given is None:
        return None
    files = {rank: Path(file) for rank, file in given.items()}
    for rank, file in files.items():
        if not file.is_file():
            raise DpprofError(f"{file}: no such file; RANK=FILE wants the trace of rank {rank}")
    return files
