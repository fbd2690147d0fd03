"""Tells the rank that failed from those that only lost their connection to it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_LOST = re.compile(
    r"connection (closed|reset|refused)|broken pipe|gloo.transport|remote process exited|"
    r"NCCL.*(remote error|peer|abort)|socket timeout",
    re.IGNORECASE,
)
_LAST_LINES = 20


class Failure(NamedTuple):
    """What a rank died of; `at` is when (CLOCK_MONOTONIC, seconds), infinite where not known."""

    rank: int
    words: str
    at: float = float("inf")
    lost_peer: bool = False  # it only noticed that another rank was gone


def failure_of(rank: int, error: BaseException, words: str) -> Failure:
    """The failure of a rank by an error of its own or by the end of its peer."""
    said = f"rank {rank} failed; the other ranks were stopped. Its own error:\n{words}"
    return Failure(rank, said, time.monotonic(), _LOST.search(str(error)) is not None)


def death_of(rank: int, exit_code: int | None, log: Path) -> Failure:
    """The failure of a rank whose process ended without a word."""
    how, hint = f"exit code {exit_code}", ""
    if exit_code is not None and exit_code < 0:
        how = f"signal {signal.Signals(-exit_code).name}"
        killed = exit_code == -signal.SIGKILL
        hint = "; out of memory, or killed from outside" if killed else ""
    last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if log.exists() else []
    said = "\nThe last it printed:\n" + "\n".join(last) if last else ""
    return Failure(rank, f"rank {rank} died ({how}{hint}); the other ranks were stopped{said}")


def first_failure(failures: Sequence[Failure]) -> Failure:
    """The one that the others follow from: not a lost peer where there is any other, earliest."""
    return min(failures, key=lambda one: (one.lost_peer, one.at))
