"""The contract between the runtime that walks a schedule and what runs the components of a slot.

Two things implement it: `ModelExecutor` computes a real MoE transformer, `EmulatedExecutor`
models how long it would take. The runtime owns lanes, labels and messages and knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from dpprof.reference.runtime.lanes import Completion
from dpprof.schedules.actions import Action, Slot


class MessageSpec(NamedTuple):
    """Shape and type of every pipeline message, activations and gradients alike."""

    shape: tuple[int, ...]
    dtype: torch.dtype


OwnProgram = tuple[Any, ...]
"""A slot's steps: `ComponentStep` or what has its fields, the device's own kind of step."""


class Executor(Protocol):
    """Runs slots, one at a time, component by component."""

    layers: int
    """Layers of one stage's chunk: the length of every program."""

    message: MessageSpec

    def begin_step(self, step: int) -> None:
        """Make ready for training step `step` (0, 1, ...): its data, empty gradients."""

    def begin_slot(
        self, slot: Slot, program: OwnProgram, received: Mapping[Action, torch.Tensor]
    ) -> None:
        """Start a slot; `program` is of the executor's own kind.

        `received` holds what came in for each action that needs an input.
        A forward on stage 0 and a backward on the last stage receive nothing; nor does W.
        """

    def gate(self, index: int) -> Sequence[Completion]:
        """What step `index` waits for besides the steps of its `after`; most executors: nothing."""

    def communication_bytes(self, index: int) -> int:
        """Bytes that step `index` of the program, an all-to-all, sends from this rank."""

    def makes_the_host_wait(self, index: int) -> bool:
        """Whether the host must read a value from the device before it can issue step `index`."""

    def run(self, index: int) -> None:
        """Run step `index` of the program.

        Called on the step's lane (on a CPU its thread, on a GPU with its stream current) after
        every step in its `after` has finished, or, on a GPU, been waited for by the stream.
        """

    def passed_on(self, index: int) -> dict[Action, torch.Tensor]:
        """What step `index`, just run, gives to other slots: an F's output, a B's or I's gradient.

        Nothing for a forward on the last stage and a backward on stage 0. It is sent at once,
        under what is left of the slot.
        """

    def finish_slot(self) -> dict[Action, torch.Tensor]:
        """End the slot; gives what it passes on that `passed_on` has not given.

        Activations that the slot's actions needed last are freed here.
        """

    def expert_load(self) -> dict[int, list[int]]:
        """By layer of the model: the rows that each expert got so far. All ranks ask at once."""

    def end_step(self) -> float | None:
        """Reduce gradients, update parameters; the step's loss on ranks of the last stage."""
