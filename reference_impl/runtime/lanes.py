"""Lanes: where work runs in order beside other work. A stream on a GPU, a thread on a CPU.

A lane takes a piece of work with a label and with the completions it must wait for, and gives a
`Completion`. The compute lane is the calling thread (on a GPU its current stream); every other
lane runs beside it. On a GPU nothing here blocks the host: waiting is a stream waiting for an
event. On a CPU waiting blocks the thread that waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch

from dpprof.reference.runtime.operating_system import name_thread

Label = Callable[[], AbstractContextManager[Any]]


class Completion(Protocol):
    """The end of a piece of work; `wait` makes the current lane wait for it."""

    def wait(self) -> Any:
        """Wait; gives what the work returned, raises what it raised."""


class Done:
    """Work that finished before anyone could wait for it."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def wait(self) -> Any:
        """Give the value at once."""
        return self.value


class FutureCompletion:
    """Work on another thread."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def wait(self) -> Any:
        """Block until the work is done."""
        return self._future.result()


class StreamCompletion:
    """Work on a CUDA stream; the value is there at once, its contents once the event has passed."""

    def __init__(self, stream: torch.cuda.Stream, value: Any) -> None:
        self._stream = stream
        self._event = stream.record_event()
        self._value = value

    def wait(self) -> Any:
        """Make the current stream wait, if it is another one; the host goes on."""
        current = torch.cuda.current_stream(self._stream.device)
        if current != self._stream:
            current.wait_event(self._event)
        return self._value


class ExecutionLane(Protocol):
    """Runs submitted work in order."""

    def submit(
        self, label: Label, work: Callable[[], Any], after: Sequence[Completion] = ()
    ) -> Completion:
        """Run `work` under `label` once everything in `after` is done."""

    def close(self) -> None:
        """Finish; later work is refused."""


class InlineLane:
    """The compute lane of a CPU: the calling thread itself."""

    def submit(
        self, label: Label, work: Callable[[], Any], after: Sequence[Completion] = ()
    ) -> Completion:
        """Wait for `after`, run, and be done."""
        for completion in after:
            completion.wait()
        with label():
            return Done(work())

    def close(self) -> None:
        """Nothing to finish."""


class ThreadLane:
    """A lane of its own on a CPU: one daemon thread and a queue."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self, label: Label, work: Callable[[], Any], after: Sequence[Completion] = ()
    ) -> Completion:
        """Queue the work; an exception in it reaches whoever waits."""
        future: Future[Any] = Future()
        self._queue.put((future, label, work, after))
        return FutureCompletion(future)

    def close(self) -> None:
        """Let the thread end after what is queued."""
        self._queue.put(None)

    def _run(self) -> None:
        name_thread(self._thread.name)
        while (entry := self._queue.get()) is not None:
            future, label, work, after = entry
            try:
                for completion in after:
                    completion.wait()
                with label():
                    value = work()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
                future.set_exception(error)
            else:
                future.set_result(value)
            del future, label, work, after, entry


class StreamLane:
    """A CUDA stream; with `stream` None the current one, which is the compute lane."""

    def __init__(self, stream: torch.cuda.Stream | None) -> None:
        self._stream = stream

    def submit(
        self, label: Label, work: Callable[[], Any], after: Sequence[Completion] = ()
    ) -> Completion:
        """Launch the work behind the events of `after`."""
        on_stream = torch.cuda.stream(self._stream) if self._stream else nullcontext()
        with on_stream:
            for completion in after:
                completion.wait()
            with label():
                value = work()
            return StreamCompletion(torch.cuda.current_stream(), value)

    def close(self) -> None:
        """Nothing to finish: the stream drains by itself."""


MakeLane = Callable[[str], ExecutionLane]
"""Makes a lane by name; `COMPUTE` names the lane of the calling thread."""

COMPUTE = "compute"


def make_lane(device: torch.device, name: str) -> ExecutionLane:
    """The compute lane (the caller's thread or current stream), or one that runs beside it.

    Beside means first: what communicates takes few multiprocessors, but must not wait for them
    until a matrix product has left all of them.
    """
    if device.type == "cuda":
        return StreamLane(None if name == COMPUTE else torch.cuda.Stream(device, priority=-1))
    return InlineLane() if name == COMPUTE else ThreadLane(name)
