"""What happens inside a slot: its components in issue order, on two lanes, with dependencies.

The same program is walked by the reference implementation, timed by the simulator and modelled by
the emulated device. The order of an overlapped pair is that of the DualPipe paper (DeepSeek-V3
technical report, figure 4) and of DeepSeek's published training profile: on the compute lane
attention(F), mlp(I), mlp(W), mlp(F), attention(I), attention(W) for every pair of layers; on the
communication lane combine(I), dispatch(F), dispatch(I), combine(F). ``dispatch`` and ``combine``
of a backward are the backward *of* that component, as in DeepSeek's annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from dpprof.schedules.actions import Operation, Slot, slot_operation


class Component(StrEnum):
    """A part of a layer that is scheduled as a whole."""

    ATTENTION = "attention"
    DISPATCH = "dispatch"
    MLP = "mlp"
    COMBINE = "combine"
    OUTPUT = "output"
    """Merges the last layer's combined tokens; on the last stage also the head and the loss."""


class Lane(StrEnum):
    """Where a component runs: a GPU stream, or a thread on a CPU."""

    COMPUTE = "compute"
    COMMUNICATION = "communication"


COMMUNICATION_COMPONENTS = frozenset({Component.DISPATCH, Component.COMBINE})


@dataclass(frozen=True, slots=True)
class ComponentStep:
    """One component of one part (F, I or W) of a slot.

    `member` is the index of its action within the slot (0, or 1 for the backward of a pair);
    `after` holds the positions in the program of the steps that must have finished. Each lane
    runs its steps in program order.
    """

    member: int
    part: Operation
    component: Component
    layer: int
    after: tuple[int, ...]

    @property
    def lane(self) -> Lane:
        """The lane this component runs on."""
        if self.component in COMMUNICATION_COMPONENTS:
            return Lane.COMMUNICATION
        return Lane.COMPUTE


Program = tuple[ComponentStep, ...]

_Key = tuple[int, Operation, Component, int]


class _Builder:
    """Collects steps in issue order and turns named dependencies into positions."""

    def __init__(self) -> None:
        self.steps: list[ComponentStep] = []
        self._position: dict[_Key, int] = {}

    def add(self, key: _Key, *after: _Key | None) -> _Key:
        positions = tuple(self._position[before] for before in after if before is not None)
        self._position[key] = len(self.steps)
        self.steps.append(ComponentStep(*key, positions))
        return key


_F, _I, _W = Operation.FORWARD, Operation.INPUT_GRADIENT, Operation.WEIGHT_GRADIENT


def _forward(build: _Builder, layers: int) -> Iterator[None]:
    """Forward chunk; yields where an overlapped backward may issue its next step."""
    before: _Key | None = None
    for layer in range(layers):
        attention = build.add((0, _F, Component.ATTENTION, layer), before)
        dispatch = build.add((0, _F, Component.DISPATCH, layer), attention)
        yield
        mlp = build.add((0, _F, Component.MLP, layer), dispatch)
        before = build.add((0, _F, Component.COMBINE, layer), mlp)
        yield
    build.add((0, _F, Component.OUTPUT, layers - 1), before)


def _backward(
    build: _Builder, layers: int, member: int, parts: tuple[Operation, ...]
) -> Iterator[None]:
    """Backward chunk, weight gradients under the communication that they do not depend on."""
    weight = _W in parts
    output = build.add((member, _I, Component.OUTPUT, layers - 1))
    combine = build.add((member, _I, Component.COMBINE, layers - 1), output)
    if weight:
        build.add((member, _W, Component.OUTPUT, layers - 1), output)
    yield
    for layer in reversed(range(layers)):
        mlp = build.add((member, _I, Component.MLP, layer), combine)
        dispatch = build.add((member, _I, Component.DISPATCH, layer), mlp)
        if weight:
            build.add((member, _W, Component.MLP, layer), mlp)
        yield
        attention = build.add((member, _I, Component.ATTENTION, layer), dispatch)
        if layer:
            combine = build.add((member, _I, Component.COMBINE, layer - 1), attention)
        if weight:
            build.add((member, _W, Component.ATTENTION, layer), attention)
        yield


def _weight(build: _Builder, layers: int) -> None:
    build.add((0, _W, Component.OUTPUT, layers - 1))
    for layer in reversed(range(layers)):
        build.add((0, _W, Component.MLP, layer))
        build.add((0, _W, Component.ATTENTION, layer))


def _pair(build: _Builder, layers: int, backward_layers: int) -> None:
    """Alternate the two chunks, backward first, so that each computes under the other's message."""
    forward = _forward(build, layers)
    backward = _backward(build, backward_layers, 1, (_I, _W))
    next(backward)
    for _ in range(2 * max(layers, backward_layers)):
        next(forward, None)
        next(backward, None)
    next(forward, None)


def slot_program(slot: Slot, layers: int) -> Program:
    """The components of a slot, over a chunk of `layers` layers."""
    return component_program(slot_operation(slot), layers)


@lru_cache(maxsize=256)
def component_program(operation: str, layers: int, backward_layers: int | None = None) -> Program:
    """The components of a slot of `operation` (F, B, I, W or F&B) over a chunk of `layers` layers.

    The backward of a pair may be of a chunk of other length, `backward_layers`.
    Steps come in issue order: a step's dependencies precede it, and a host that runs compute
    synchronously issues every transfer before the compute that is meant to hide it.
    """
    build = _Builder()
    match operation:
        case "F":
            for _ in _forward(build, layers):
                pass
        case "B" | "I":
            parts = (_I, _W) if operation == "B" else (_I,)
            for _ in _backward(build, layers, 0, parts):
                pass
        case "W":
            _weight(build, layers)
        case "F&B":
            _pair(build, layers, backward_layers or layers)
        case _:
            raise ValueError(f"no such operation: {operation!r}")
    return tuple(build.steps)
