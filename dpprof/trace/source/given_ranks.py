"""Paths as users give them: a run's place, several traces, ``0=FILE,1=FILE``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dpprof.errors import DpprofError

RunPath = str | os.PathLike[str]

RunPaths = RunPath | Sequence[RunPath] | Mapping[int, RunPath]
"""A run's place, several traces, or the trace of each rank."""

_BETWEEN = re.compile(r",(?=\d+=)")
_ONE = re.compile(r"(\d{1,6})=(.+)", re.DOTALL)


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
