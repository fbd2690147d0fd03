"""How the ranks of a run are read: where the work is done, and who hears of its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], None]
"""Called with the number of ranks that are read, and of all ranks."""


@dataclass(frozen=True)
class Reading:
    """Options of reading that change nothing about its result.

    With `scheduler` (``tcp://host:8786``), ranks are read by the workers of that Dask cluster,
    which must see the traces under the same paths; else by `processes` on this machine (None:
    one per core), fewer where their memory would not suffice.
    """

    processes: int | None = None
    scheduler: str | None = None
    progress: Progress | None = None


HERE = Reading()
