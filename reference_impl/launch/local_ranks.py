"""Starts one process per rank on this machine, watches them, and leaves nothing behind.

The first rank to fail takes the others down, and its error is the one shown. Ranks are forked
from a server process that has imported torch once: eight of them start in a second.
"""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from dpprof.errors import EXIT_BUG, DpprofError
from dpprof.reference.job import Job
from dpprof.reference.launch.failures import Failure, death_of, failure_of, first_failure
from dpprof.reference.launch.hangs import answer_with_stack, hang_words
from dpprof.system.processes import die_with_parent, sigterm_as_interrupt
from dpprof.system.whole import working_folder

_GRACE_SECONDS = 3.0
"""Time for ranks to end by themselves after SIGTERM, before SIGKILL."""

_REASON_SECONDS = 3.0
"""How long to listen for the reason, where a rank has lost its connection to another."""

RANK_TIMEOUT_SECONDS = 600.0
"""How long no rank may finish a step, the first one included, before they are taken to hang."""

_WORD_SECONDS = 30.0
"""After so long without a step the first word is said, and then after twice that, and so on."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}

_PRELOADED = [
    "dpprof.reference.launch.fork_server",
    "dpprof.reference.launch.train",
    "torch._inductor.config",  # torch's profiler imports it: a second of CPU in every rank
]

Progress = Callable[[int], None]
"""Called with the number of finished steps."""


class RankFailedError(DpprofError):
    """A rank died; the message holds its own error."""

    exit_code = EXIT_BUG


class _RankProcess(NamedTuple):
    number: int
    process: Any
    messages: Connection
    log: Path


def launch(
    job: Job,
    progress: Progress = lambda _: None,
    timeout_seconds: float = RANK_TIMEOUT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run `job` to its end; raises the first rank's error after taking down all the others.

    Where no rank finishes a step for `timeout_seconds` they are ended too, and the error says who
    hangs and where; before, `say` is told how long nothing has come.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with working_folder() as folder, sigterm_as_interrupt():
        rendezvous = f"file://{folder / 'rendezvous'}"
        ranks: list[_RankProcess] = []
        try:
            for number in range(job.world_size):
                ours, theirs = context.Pipe(duplex=False)
                log = folder / f"rank{number}.log"
                process = context.Process(
                    target=_rank_main,
                    args=(_RankTask(job, number, rendezvous, log), theirs),
                    daemon=True,
                )
                process.start()
                theirs.close()
                ranks.append(_RankProcess(number, process, ours, log))
            _watch(ranks, progress, _Patience(ranks, folder, timeout_seconds, say))
        finally:
            _take_down(ranks)


class _Patience:
    """How long nothing has come from any rank; has state because it watches."""

    def __init__(
        self, ranks: list[_RankProcess], folder: Path, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._ranks, self._folder, self._seconds, self._say = ranks, folder, seconds, say
        self._steps = [0] * len(ranks)
        self._since = time.monotonic()
        self._next_word = _WORD_SECONDS

    def heard(self, rank: int, step: int) -> None:
        """A rank has finished a step."""
        self._steps[rank] = step
        self._since, self._next_word = time.monotonic(), _WORD_SECONDS

    def left(self) -> float:
        """Seconds until something is to be said or done."""
        waited = time.monotonic() - self._since
        return max(0.0, min(self._seconds, self._next_word) - waited)

    def check(self) -> None:
        """Say that nothing comes; raise `RankFailedError` where that has been so for too long."""
        waited = time.monotonic() - self._since
        if waited >= self._seconds:
            pids = {
                rank.number: rank.process.pid for rank in self._ranks if rank.process.is_alive()
            }
            raise RankFailedError(hang_words(self._seconds, self._folder, pids, self._steps))
        if waited >= self._next_word:
            self._say(
                f"no rank has finished a step for {waited:.0f} s; they are ended after "
                f"{self._seconds:g} s (--rank-timeout)"
            )
            self._next_word *= 2


def _watch(ranks: list[_RankProcess], progress: Progress, patience: _Patience) -> None:
    """Until every rank has ended well: pass on progress, raise the failure that came first.

    A rank that lost its connection may be heard before the rank that was the reason.
    """
    running = {rank.process.sentinel: rank for rank in ranks}
    pipes = {rank.messages: rank for rank in ranks}
    failures: list[Failure] = []
    give_up: float | None = None
    while running and (give_up is None or time.monotonic() < give_up):
        patience.check()
        left = patience.left() if give_up is None else max(0.0, give_up - time.monotonic())
        for ready in multiprocessing.connection.wait([*running, *pipes], left):
            if isinstance(ready, Connection):
                if ready in pipes and not _read(pipes[ready], progress, failures, patience):
                    del pipes[ready]
                continue
            rank = running.pop(ready)
            rank.process.join()
            while rank.messages in pipes:  # its last words, up to the end of the pipe
                if not _read(rank, progress, failures, patience):
                    del pipes[rank.messages]
            if rank.process.exitcode != 0 and all(one.rank != rank.number for one in failures):
                failures.append(death_of(rank.number, rank.process.exitcode, rank.log))
        if failures and not first_failure(failures).lost_peer:
            break
        if failures and give_up is None:
            give_up = time.monotonic() + _REASON_SECONDS
    if failures:
        raise RankFailedError(first_failure(failures).words)


def _read(
    rank: _RankProcess, progress: Progress, failures: list[Failure], patience: _Patience
) -> bool:
    """Handle one message of a rank; False at the end of its pipe."""
    try:
        kind, value = rank.messages.recv()
    except (EOFError, OSError):
        return False
    if kind == "step":
        patience.heard(rank.number, value)
        if rank.number == 0:
            progress(value)
    elif kind == "wrong use":
        raise DpprofError(value)
    elif kind == "failure":
        failures.append(value)
    return True


def _take_down(ranks: list[_RankProcess]) -> None:
    for rank in ranks:
        if rank.process.is_alive():
            rank.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for rank in ranks:
        rank.process.join(max(0.0, deadline - time.monotonic()))
        if rank.process.is_alive():
            rank.process.kill()
            rank.process.join()
        rank.messages.close()


class _RankTask(NamedTuple):
    job: Job
    rank: int
    rendezvous: str
    log: Path


def _rank_main(task: _RankTask, messages: Connection) -> None:
    """Body of a rank's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher ends the ranks, in order
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    _print_to(task.log)
    answer_with_stack(task.log.parent, task.rank)
    tempfile.tempdir = str(task.log.parent)  # what this rank leaves behind goes with the launcher
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    from dpprof.reference.launch.train import train

    def report(step: int) -> None:
        messages.send(("step", step))

    try:
        train(task.job, task.rank, task.rendezvous, report)
    except DpprofError as error:
        messages.send(("wrong use", str(error)))
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - crosses to the launcher, which shows it
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            where = error.filename or task.job.folder
            messages.send(("wrong use", f"{where}: cannot be written ({error.strerror})"))
            os._exit(1)
        messages.send(("failure", failure_of(task.rank, error, traceback.format_exc())))
        os._exit(1)  # destructors of process groups would wait for ranks that are gone


def _print_to(log: Path) -> None:
    """Send stdout and stderr to a file: the profiler and gloo chat on both."""
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except FileNotFoundError:
        os._exit(1)  # the launcher was interrupted and has gone, and its folder with it
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
