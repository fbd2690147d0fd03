"""What components hand each other, on *wires* named after the value and its layer.

A component takes what it needs off the wires and puts its results on them, so every tensor is let
go as soon as the last component that needs it has run.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from dpprof.reference.model.streams import keep_for_current_stream


class Wires:
    """Values between components. Mutable because that is what makes tensors short-lived.

    Lanes use different wires at the same time; taking and putting are atomic.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, int], Tensor] = {}

    def put(self, name: str, layer: int, value: Tensor) -> None:
        """Hand a value on."""
        self._values[name, layer] = value

    def put_all(self, layer: int, values: Mapping[str, Tensor]) -> None:
        """Hand several values on."""
        for name, value in values.items():
            self.put(name, layer, value)

    def take(self, name: str, layer: int) -> Tensor:
        """Take a value off, for use on the current stream."""
        return keep_for_current_stream(self._values.pop((name, layer)))

    def take_all(self, layer: int, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Take several values off."""
        return {name: self.take(name, layer) for name in names}
