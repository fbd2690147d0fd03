"""Work in a process of its own, forked before CUDA starts: what hangs or dies, does so alone."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

Answer = dict[str, Any]
Tell = Callable[[str, Answer], None]


class End(NamedTuple):
    """How a process ended: 0, its exit code or minus its signal; None: it was killed here."""

    code: int | None

    @property
    def words(self) -> str:
        """What is wrong, "" for nothing."""
        if self.code is None:
            return "it hung and was killed"
        if self.code < 0:
            return f"it died of {signal.Signals(-self.code).name}"
        return f"it ended with code {self.code}" if self.code else ""


def run_apart(work: Callable[[Tell], None], patience: float) -> Iterator[tuple[str, Answer] | End]:
    """What `work` tells, as it tells it, then how its process ended.

    It is killed, with its children, when it tells nothing for `patience` seconds. An exception of
    `work` ends it with code 1 and its text on the standard error output.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work(work, writer)
    os.close(writer)
    in_time = yield from _heard(reader, patience)
    os.close(reader)
    if not in_time:
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    yield End(code if in_time else None)


def _work(work: Callable[[Tell], None], writer: int) -> None:
    """The child; does not return."""
    code = 1
    try:
        os.setpgid(0, 0)
        with os.fdopen(writer, "w") as pipe:

            def tell(name: str, answer: Answer) -> None:
                pipe.write(json.dumps([name, answer]) + "\n")
                pipe.flush()

            work(tell)
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        os._exit(code)


def _heard(reader: int, patience: float) -> Generator[tuple[str, Answer], None, bool]:
    """Lines until the pipe closes; returns whether each came in time."""
    rest = b""
    until = time.monotonic() + patience
    while (left := until - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            continue
        part = os.read(reader, 1 << 16)
        if not part:
            return True
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, answer = json.loads(line)
            until = time.monotonic() + patience
            yield name, answer
    return False
