"""Work beside the training: in a forked child where that is safe, else on a thread.

Torch holds Python's lock while it exports a trace, so that on a thread the training would stand
still. A child has all that the export needs in its copy of the memory. What holds a device does not
fork (its driver is not there in the child), nor what fills more than half of the free memory, as
pages that the training changes meanwhile are copied.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import NoReturn, Protocol

from dpprof.system.memory import free_bytes

_LOOK_S = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BackgroundWork(Protocol):
    """Work that is under way, and gives one answer."""

    @property
    def is_busy(self) -> bool:
        """Whether it is still at it."""

    def answer(self) -> bytes:
        """What it answered, once it is done; empty where it could not."""


def begin_beside(
    work: Callable[[], bytes], progress: Callable[[], object], *, fork: bool
) -> BackgroundWork:
    """Begin `work`, in a child if `fork` and this process can.

    A child is given up when `progress`, looked at every half a minute, stays the same.
    """
    if fork and _may_fork():
        with suppress(OSError):
            return _Child(work, progress)
    return _OnThread(work)


def _may_fork() -> bool:
    if sys.platform != "linux":
        return False
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - one line of the kernel's
            own = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return False
    return 2 * own < free_bytes()


class _OnThread:
    def __init__(self, work: Callable[[], bytes]) -> None:
        self._work, self._answer = work, b""
        self._thread = Thread(target=self._run, name="dpprof writer")
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        return self._thread.is_alive()

    def answer(self) -> bytes:
        self._thread.join()
        return self._answer

    def _run(self) -> None:
        self._answer = self._work()


class _Child:
    """Its answer comes through a pipe: who waits for children of any kind takes nothing from it."""

    def __init__(self, work: Callable[[], bytes], progress: Callable[[], object]) -> None:
        self._progress = progress
        self._pipe, theirs = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._pid = _fork()
            if not self._pid:
                _be_child(work, theirs)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(theirs)

    @property
    def is_busy(self) -> bool:
        return not self._is_ready(0.0)

    def answer(self) -> bytes:
        parts = [] if self._is_stuck() else list(iter(lambda: os.read(self._pipe, 1 << 16), b""))
        os.close(self._pipe)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        return b"".join(parts)

    def _is_stuck(self) -> bool:
        """Wait for the answer; a child that gets nowhere is ended."""
        seen = None
        while not self._is_ready(_LOOK_S):
            now = self._progress()
            if now == seen:
                with suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                return True
            seen = now
        return False

    def _is_ready(self, wait_s: float) -> bool:
        ready, _, _ = select.select([self._pipe], [], [], wait_s)
        return bool(ready)


def _fork() -> int:
    with warnings.catch_warnings():  # Python warns of forks beside threads; the child starts none
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _be_child(work: Callable[[], bytes], pipe: int) -> NoReturn:
    """Nothing of the job's runs here: no signal of its, no finalizer, no handler at the exit."""
    try:
        gc.disable()
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        os.write(pipe, work())
    finally:
        os._exit(0)
