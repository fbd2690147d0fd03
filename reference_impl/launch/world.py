"""What a world of ranks does for the jobs that are run in it, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dpprof.reference.job import Job


class JobWorld(NamedTuple):
    """`run` runs a job, `wait` waits until all ranks have come as far, `which` gives those that
    say yes, by number and host."""

    run: Callable[[Job], None]
    wait: Callable[[], None]
    which: Callable[[bool], list[str]]
