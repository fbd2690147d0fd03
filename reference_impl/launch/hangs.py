"""Tells who hangs, and where, when no rank has finished a step for too long."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path

_ANSWER_SECONDS = 2.0
_LOOK_SECONDS = 0.05
_FRAMES = 4
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_WAITS = re.compile(r"/torch/distributed/|/threading\.py|/concurrent/futures/|/queue\.py")

Stack = tuple[str, ...]
"""Frames as text, the innermost first."""


def answer_with_stack(folder: Path, rank: int) -> None:
    """From now on, have this process write where its threads are when it is asked to (SIGUSR1).

    That needs nothing of Python, so it is answered in the middle of a call too.
    """
    file = _file(folder, rank).open("w")
    faulthandler.register(signal.SIGUSR1, file, all_threads=True)


def hang_words(seconds: float, folder: Path, pids: Mapping[int, int], steps: list[int]) -> str:
    """Who hangs, and where everybody is; `steps` are those that each rank has finished."""
    for pid in pids.values():
        os.kill(pid, signal.SIGUSR1)
    stopped = [rank for rank, pid in pids.items() if _is_stopped(pid)]
    stacks = _stacks(folder, [rank for rank in pids if rank not in stopped])
    silent = [rank for rank in pids if rank not in stopped and rank not in stacks]
    lines = [f"no rank has finished a step for {seconds:g} s; the ranks were ended"]
    lines += [f"rank {rank} is stopped (SIGSTOP), and the others wait for it" for rank in stopped]
    lines += [f"rank {rank} does not answer, not even a signal" for rank in silent]
    if not stopped and not silent:
        lines += [f"rank {rank} hangs, most likely" for rank in _suspects(stacks, steps)]
    for rank, stack in sorted(stacks.items()):
        where = "\n".join(f"    {frame}" for frame in stack[:_FRAMES]) or "    nowhere in Python"
        lines.append(f"  rank {rank} has finished {steps[rank]} steps and is at\n{where}")
    return "\n".join(lines)


def _suspects(stacks: Mapping[int, Stack], steps: list[int]) -> list[int]:
    """Ranks that are in no waiting call where others are; else those that are behind."""
    busy = [rank for rank, stack in stacks.items() if not _WAITS.search(" ".join(stack[:_FRAMES]))]
    if busy and len(busy) < len(stacks):
        return busy
    behind = [rank for rank in stacks if steps[rank] == min(steps)]
    return behind if len(behind) < len(stacks) else []


def _stacks(folder: Path, ranks: list[int]) -> dict[int, Stack]:
    """Rank -> the stack of its main thread, of those that answer in time."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    found: dict[int, Stack] = {}
    before: dict[int, str] = {}
    while len(found) < len(ranks) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        for rank in ranks:
            if rank not in found and _file(folder, rank).exists():
                text = _file(folder, rank).read_text(errors="replace")
                if text and text == before.get(rank):  # it is written bit by bit
                    found[rank] = _main_stack(text)
                before[rank] = text
    return found


def _main_stack(text: str) -> Stack:
    """The main thread comes last."""
    last = text.rstrip().rsplit("most recent call first", 1)[-1]
    return tuple(f"{file}:{line} {name}" for file, line, name in _FRAME.findall(last))


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state in "Tt"


def _file(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank}.stack"
