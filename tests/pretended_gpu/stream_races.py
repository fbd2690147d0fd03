"""Races between real CUDA streams, by the vector clocks that the pretended GPU keeps of them."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dpprof.reference.runtime.lanes import StreamLane
from dpprof.reference.runtime.race_detector import Clock, RaceDetector

MOST_STREAMS = 256


class _Clocks:
    """The clock of each stream by its number, as the library has it now."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.handles: dict[str, int] = {}

    def get(self, lane: str, otherwise: Clock) -> Clock:
        return self.read(lane) if lane in self.handles else otherwise

    def read(self, lane: str) -> Clock:
        room = (ctypes.c_int * MOST_STREAMS)()
        handle = ctypes.c_void_p(self.handles[lane])
        size = self._library.pretended_clock(handle, room, MOST_STREAMS)
        return Counter({str(number): room[number] for number in range(size)})


class StreamRaces(RaceDetector):
    """As its base, with torch's current stream for a lane and the library's clocks."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        super().__init__()
        self.clocks = _Clocks(self._library)  # type: ignore[assignment]

    @property
    def lane(self) -> str:  # type: ignore[override]
        handle = torch.cuda.current_stream().cuda_stream
        number = str(self._library.pretended_stream(ctypes.c_void_p(handle)))
        self.clocks.handles.setdefault(number, handle)  # type: ignore[attr-defined]
        return number

    @lane.setter
    def lane(self, _: str) -> None:
        """Torch says which stream is current."""

    @property
    def current_clock(self) -> Clock:
        clock: Clock = self.clocks.read(self.lane)  # type: ignore[attr-defined]
        return clock

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten.record_stream.default:
            return function(*args)  # a word to the allocator, no work on a stream
        return super().__torch_dispatch__(function, types, args, kwargs)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch operations, words to the allocator, and what each submission lets go."""
        plain_record, plain_submit = torch.Tensor.record_stream, StreamLane.submit

        def record(tensor: torch.Tensor, stream: torch.cuda.Stream) -> None:
            number = self._library.pretended_stream(ctypes.c_void_p(stream.cuda_stream))
            self._of(tensor, "kept").kept.add(str(number))
            plain_record(tensor, stream)

        def submit(lane: StreamLane, *arguments: Any) -> Any:
            done = plain_submit(lane, *arguments)
            self.sweep()
            return done

        torch.Tensor.record_stream = record  # type: ignore[method-assign]
        StreamLane.submit = submit  # type: ignore[method-assign]
        try:
            with self:
                yield
        finally:
            torch.Tensor.record_stream = plain_record  # type: ignore[method-assign]
            StreamLane.submit = plain_submit  # type: ignore[method-assign]
