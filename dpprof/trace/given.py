"""Ranks that the user gives: ``0=FILE,1=FILE`` in place of a run's path."""

from __future__ import annotations

import re
from pathlib import Path

from dpprof.errors import DpprofError

_BETWEEN = re.compile(r",(?=\d+=)")
_ONE = re.compile(r"(\d{1,6})=(.+)", re.DOTALL)


def given_ranks(text: str) -> dict[int, Path] | None:
    """The trace of each rank in ``0=FILE,1=FILE``; None where the text has another form.

    Raises `DpprofError` where a rank is given twice or a file is not there.
    """
    found = [_ONE.fullmatch(one) for one in _BETWEEN.split(text)]
    files: dict[int, Path] = {}
    for one in found:
        if one is None:
            return None
        rank, file = int(one[1]), Path(one[2])
        if rank in files:
            raise DpprofError(f"{text}: gives rank {rank} twice; give one trace per rank")
        if not file.is_file():
            raise DpprofError(f"{file}: no such file; RANK=FILE wants the trace of rank {rank}")
        files[rank] = file
    return files
