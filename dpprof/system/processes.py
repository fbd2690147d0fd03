"""Processes that end when they should: with their parent, and at SIGTERM as at Ctrl-C."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0
_MOST_DESCRIPTORS = 1 << 16
_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 15.0
"""For a command to clean up after SIGTERM; `dpprof profile` takes up to 6 s to end its ranks."""


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send `signal_number` when the parent process is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def follow_parent(parent: int) -> None:
    """End this process when `parent`, which has forked it, is gone, however that happened.

    SIGTERM ends it too, whatever the parent does at it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        die_with_parent(signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it has gone in between
        os._exit(1)


@contextmanager
def forked_pool(
    processes: int, begin: Callable[..., object] = int, *arguments: Any
) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of forked processes that end with this one, each after ``begin(*arguments)``.

    None where none can be had: no /dev/shm for their locks, too few files or processes allowed.
    """
    before = set(multiprocessing.active_children())
    try:
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(processes, context, _begin, (os.getpid(), begin, arguments))
        pool.submit(int)  # starts them all
    except OSError:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
            child.join()
        yield None
        return
    with pool:
        yield pool


def _begin(parent: int, begin: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    follow_parent(parent)
    begin(*arguments)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Make SIGTERM (and SIGHUP) end the block like Ctrl-C, so that what it began is cleaned up.

    A no-op in other threads than the main one, where no handler can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # a second one must not end the cleaning up
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {
        number: signal.signal(number, interrupt)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_leashed(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and give what it printed; nothing that it started outlives this process.

    The command is a process group of its own. It is told to end where this process is interrupted
    or gone, and ended where it does not. Raises OSError where it cannot be run.
    """
    reading, writing = os.pipe()  # closed by the kernel when this process ends
    try:
        command = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_parent,  # until the keeper is there
        )
        keeper = _keep(command.pid, reading)
        try:
            output, _ = command.communicate()
        finally:
            os.close(writing)  # the keeper ends what is left of the group
            writing = -1
            command.wait()
            os.waitpid(keeper, 0)
    finally:
        for descriptor in {reading, writing} - {-1}:
            os.close(descriptor)
    return subprocess.CompletedProcess(words, command.returncode, output)


def _end_with_parent() -> None:
    die_with_parent(signal.SIGTERM)


def _keep(group: int, reading: int) -> int:
    """Fork a process that ends the process group when the pipe has no writer any more."""
    keeper = os.fork()
    if keeper:
        return keeper
    try:
        os.setsid()  # Ctrl-C is for the others
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        os.dup2(reading, 3)
        os.closerange(4, _MOST_DESCRIPTORS)  # the writing end too, and all locks and pipes
        os.read(3, 1)
        end_group(group)
    finally:
        os._exit(0)


def end_group(group: int, grace_seconds: float = _GRACE_SECONDS) -> None:
    """End a process group: SIGTERM, and SIGKILL where that was not enough."""
    deadline = time.monotonic() + grace_seconds
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            os.killpg(group, 0)  # raises where the group is gone
        os.killpg(group, signal.SIGKILL)
