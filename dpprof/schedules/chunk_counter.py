"""Numbers the micro-batches of a rank with two directions while its slots are laid out."""

from __future__ import annotations

from collections import deque

from dpprof.schedules.actions import Operation, Slot, single


class ChunkCounter:
    """Gives the next action of a kind in a direction, and the oldest pending weight gradient.

    Has state so that a schedule's phases read as its authors write them: the micro-batch of an
    action is how many of its kind went before. `near` is the direction called 0 in the phases.
    """

    def __init__(self, near: int = 0) -> None:
        self._near = near
        self._forwards, self._backwards = [0, 0], [0, 0]
        self._pending: deque[Slot] = deque()

    def forward(self, way: int) -> Slot:
        """F of the next micro-batch."""
        return self._next(Operation.FORWARD, self._forwards, way)

    def backward(self, way: int) -> Slot:
        """Full B of the next micro-batch."""
        return self._next(Operation.BACKWARD, self._backwards, way)

    def input_gradient(self, way: int) -> Slot:
        """I of the next micro-batch to go back; its W is pending from now on."""
        slot = self._next(Operation.INPUT_GRADIENT, self._backwards, way)
        _, direction, micro_batch = slot[0]
        self._pending.append(single(Operation.WEIGHT_GRADIENT, direction, micro_batch))
        return slot

    def weight_gradient(self) -> Slot:
        """W of the oldest input gradient that still lacks it."""
        return self._pending.popleft()

    def _next(self, operation: Operation, done: list[int], way: int) -> Slot:
        direction = way ^ self._near
        micro_batch = done[direction]
        done[direction] += 1
        return single(operation, direction, micro_batch)
