"""Several ranks on one GPU: what they tell each other goes through the host's memory.

NCCL wants a GPU for every rank. Here the ranks are processes whose kernels take turns on the card,
and gloo carries their messages: copied to the host, sent, copied back, on a thread and a stream of
its own for every edge, so that the wait for a message holds up nobody else. That costs
copies over PCIe and the GPU's turns; what such a run shows is the schedule at work, not the speed
of links. Shown on a pretended GPU; the same code runs in the tests on a CPU, where copies are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from dpprof.reference.model.streams import keep_for_current_stream
from dpprof.reference.runtime.executor import MessageSpec
from dpprof.reference.runtime.lanes import (
    COMPUTE,
    Completion,
    ExecutionLane,
    Label,
    ThreadLane,
    make_lane,
)


class StagedLane:
    """A thread with a CUDA stream of its own, current in all its work."""

    def __init__(self, device: torch.device, name: str) -> None:
        self._thread = ThreadLane(name)
        self._stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None

    def submit(
        self, label: Label, work: Callable[[], Any], after: Sequence[Completion] = ()
    ) -> Completion:
        """Queue the work; whoever waits gets its value, and its stream's work done."""
        return _Arrived(self._thread.submit(label, partial(self._run, work, after)))

    def close(self) -> None:
        """Let the thread end after what is queued."""
        self._thread.close()

    def _run(self, work: Callable[[], Any], after: Sequence[Completion]) -> tuple[Any, Any]:
        with self._current():
            for completion in after:
                completion.wait()
            value = work()
            return value, None if self._stream is None else self._stream.record_event()

    def _current(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


class _Arrived:
    """Work of a staged lane: the host waits for the thread, the current stream for its stream."""

    def __init__(self, launched: Completion) -> None:
        self._launched = launched

    def wait(self) -> Any:
        """The work's value."""
        value, event = self._launched.wait()
        if event is not None:
            torch.cuda.current_stream().wait_event(event)
        return value


class StagedWire:
    """Messages through the host's memory."""

    def __init__(self, spec: MessageSpec, device: torch.device) -> None:
        self._spec = spec
        self._device = device

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Copy to the host, for which this lane's thread waits, and send."""
        dist.send(keep_for_current_stream(tensor).cpu(), edge[1])

    def receive(
        self,
        edge: tuple[int, int],
        lane: ExecutionLane,
        label: Label,
        after: Sequence[Completion] = (),
    ) -> Completion:
        """Receive on the host, then copy to the device."""
        return lane.submit(label, partial(self._receive, edge), after)

    def _receive(self, edge: tuple[int, int]) -> torch.Tensor:
        on_gpu = self._device.type == "cuda"
        tensor = torch.empty(self._spec.shape, dtype=self._spec.dtype, pin_memory=on_gpu)
        dist.recv(tensor, edge[0])
        return tensor.to(self._device, non_blocking=True)


def make_staged_lane(device: torch.device, name: str) -> ExecutionLane:
    """As `make_lane`, with threads for the lanes that wait for other ranks."""
    if name == COMPUTE or name == "communication":
        return make_lane(device, name)
    return StagedLane(device, name)


def add_up(values: torch.Tensor, group: dist.ProcessGroup) -> None:
    """All-reduce in place, through the host where gloo would have to carry a GPU's memory."""
    if not values.is_cuda or dist.get_backend(group) != "gloo":
        dist.all_reduce(values, group=group)
        return
    on_host = values.cpu()
    dist.all_reduce(on_host, group=group)
    values.copy_(on_host)
