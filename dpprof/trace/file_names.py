"""What names of files beside a run say: whose trace it is, that it is a memory snapshot."""

from __future__ import annotations

import re
from pathlib import Path

SNAPSHOT_ENDING = ".snapshot.json"
"""Of a memory snapshot as JSON, which lies beside the traces."""


_RANK_IN_NAME = re.compile(r"(?<![a-z])(?:rank|worker)[-_]?(\d{1,6})(?!\d)", re.IGNORECASE)


def rank_in_name(file: Path) -> int | None:
    """The rank that a file's name gives (``rank3``, ``rank_3``, ``rank-3``, ``worker3``)."""
    found = _RANK_IN_NAME.findall(file.name)
    return int(found[-1]) if found else None
