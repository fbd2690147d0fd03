"""A stand-in for GPU streams that finds races on a CPU.

Its lanes run work at once, as if it were launched, and keep a vector clock each; an event carries
the clock of its lane. Every operation that torch dispatches is taken down with the memory that it
reads and writes. A GPU would go wrong, perhaps only sometimes, where

- a lane reads what another one wrote, or writes what another one used, without an event between;
- memory goes back to the lane that allocated it while another lane still uses it: without an
  event on the way back, and without a word to the allocator (`keep_for_current_stream`).

Both are errors here, every time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dpprof.reference.runtime.lanes import COMPUTE

Clock = Counter[str]

BEFORE = "before"
"""The maker of what was there when the watch began: the device had come to rest by then."""


@dataclass
class Memory:
    """One storage: who allocated it, wrote it last, and used it when."""

    storage: StorageWeakRef
    owner: str
    name: str
    written: tuple[str, int]
    used: Clock = field(default_factory=Counter)  # by lane: its time of the last use
    kept: set[str] = field(default_factory=set)  # lanes that the allocator was told of


@dataclass(frozen=True)
class LaneEvent:
    """A point on a lane."""

    races: RaceDetector
    clock: Clock
    value: Any

    def wait(self) -> Any:
        """Order the current lane behind this point."""
        self.races.current_clock |= self.clock
        return self.value


@dataclass(frozen=True)
class RecordingLane:
    """Runs work at once, in the name of a stream."""

    races: RaceDetector
    name: str

    def submit(self, label: Any, work: Any, after: Any = ()) -> LaneEvent:
        """Run `work` at once, behind the events of `after`."""
        outer, self.races.lane = self.races.lane, self.name
        try:
            for event in after:
                event.wait()
            self.races.current_clock[self.name] += 1
            with label():
                value = work()
            self.races.sweep()
            return LaneEvent(self.races, self.races.current_clock.copy(), value)
        finally:
            self.races.lane = outer

    def close(self) -> None:
        """Nothing to finish."""
        self.races.sweep()


class RaceDetector(TorchDispatchMode):
    """Watches every operation between `with` and its end; `found` holds the races in words."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = COMPUTE
        self.clocks: dict[str, Clock] = {}
        self.found: list[str] = []
        self.crossings = 0
        self._memory: dict[int, Memory] = {}

    @property
    def current_clock(self) -> Clock:
        """What the current lane knows of every lane's time."""
        return self.clocks.setdefault(self.lane, Counter({self.lane: 1}))

    @current_clock.setter
    def current_clock(self, clock: Clock) -> None:
        self.clocks[self.lane] = clock

    def make_lane(self, name: str) -> RecordingLane:
        """Make a lane to watch; in place of `lanes.make_lane`."""
        return RecordingLane(self, name)

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        """In place of `keep_for_current_stream`."""
        self._of(tensor, "kept").kept.add(self.lane)
        return tensor

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        written = {
            id(argument)
            for spec, value in zip(function._schema.arguments, args, strict=False)
            if spec.alias_info is not None and spec.alias_info.is_write
            for argument in tree_leaves(value)
        }
        for tensor in _tensors((args, kwargs)):
            self._use(tensor, str(function), id(tensor) in written)
        for tensor in _tensors(result):
            self._of(tensor, str(function), self.lane)
        return result

    def sweep(self) -> None:
        """Whatever is gone by now has gone back to its owner's pool."""
        for key, memory in list(self._memory.items()):
            if memory.storage.expired():
                self._give_back(memory)
                del self._memory[key]

    def _use(self, tensor: torch.Tensor, name: str, writes: bool) -> None:
        memory = self._of(tensor, name)
        writer, time = memory.written
        self._check(memory, name, writer, time, "written")
        if writes:
            for lane, time in memory.used.items():
                self._check(memory, name, lane, time, "used")
            memory.written = (self.lane, self.current_clock[self.lane])
        memory.used[self.lane] = self.current_clock[self.lane]

    def _check(self, memory: Memory, name: str, lane: str, time: int, what: str) -> None:
        if lane != self.lane:
            self.crossings += 1
            if time > self.current_clock[lane]:
                self.found.append(
                    f"{name} on {self.lane}: memory of {memory.name}, {what} on {lane}, "
                    "and no event between"
                )

    def _of(self, tensor: torch.Tensor, name: str, maker: str = BEFORE) -> Memory:
        storage = StorageWeakRef(tensor.untyped_storage())
        if storage.cdata not in self._memory:
            time = self.current_clock[self.lane] if maker != BEFORE else 0
            self._memory[storage.cdata] = Memory(storage, maker, name, (maker, time))
        return self._memory[storage.cdata]

    def _give_back(self, memory: Memory) -> None:
        owner = self.clocks.get(memory.owner, Counter())
        for lane, time in memory.used.items():
            told = lane == memory.owner or lane in memory.kept or memory.owner == BEFORE
            if not told and time > owner[lane]:
                self.found.append(
                    f"memory of {memory.name} goes back to {memory.owner} while {lane} uses it"
                )


def _tensors(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]
