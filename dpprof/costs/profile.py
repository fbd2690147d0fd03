"""Cost profiles: how long the components and messages of one stage's chunk take, and its memory."""

from __future__ import annotations

import msgspec


class MessageCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline message between two stages: ``latency_ns + bytes / bytes_per_second``."""

    bytes: int = 0
    latency_ns: int = 0
    bytes_per_second: float | None = None  # None: infinitely fast

    @property
    def transfer_ns(self) -> int:
        """Time that one message occupies its edge; the latency comes on top, for all at once."""
        return round(self.bytes / self.bytes_per_second * 1e9) if self.bytes_per_second else 0

    @property
    def duration_ns(self) -> int:
        """From the start of a message's transfer to its arrival."""
        return self.latency_ns + self.transfer_ns


class MemoryCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes per layer of one stage; activations are per layer and micro-batch in flight."""

    parameter_bytes: int = 0
    gradient_bytes: int = 0
    optimizer_bytes: int = 0
    activation_bytes: int = 0


class LayerCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` layers in a row of the model that differ from the profile's: only what differs.

    ``component_ns`` and ``pair_component_ns`` as in `CostProfile`, ``operation_ns`` per layer;
    `memory` None: the profile's. A dense layer has ``dispatch = combine = 0``. What a stage does
    before its first layer (the embedding) counts to that layer's attention, the head and the loss
    to the ``output`` of the last layer; a layer for multi-token prediction is one more at the end.
    """

    count: int = 1
    name: str = ""
    component_ns: dict[str, dict[str, int]] = {}
    pair_component_ns: dict[str, dict[str, int]] = {}
    operation_ns: dict[str, int] = {}
    memory: MemoryCost | None = None


class CostProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs of one stage's chunk of `layers` layers, the same on every stage but for `model`.

    Either by component, ``component_ns[part][component]`` per layer (parts F, I, W), where the
    length of a slot follows from its program on two lanes; or by operation,
    ``operation_ns["F" | "B" | "I" | "W" | "F&B"]`` for the whole chunk of `layers` layers, which
    wins where both are given and is taken as compute. Missing: B = I + W, F&B = F + B,
    any component = 0. ``pair_component_ns`` gives, in the form of `component_ns`, what components
    cost inside an overlapped pair, where computing slows down because communication takes part of
    the device; what it leaves out costs the same as outside. ``serial_components`` run alone: no
    other component of the slot runs beside them. ``slot_delay_ns`` is time that passes at the start
    of every slot before its first component, as a synchronisation with the host costs it;
    ``rank_delay_ns`` is that of each pipeline rank, where a schedule has as many.

    ``model`` lists the layers of the whole model in order, where they are not all alike, and
    ``stage_layers`` how many layers each stage has, where a schedule has as many stages; without
    it stages have equally many. See `dpprof.costs.stages`.
    """

    name: str
    source: str = ""
    layers: int = 1
    component_ns: dict[str, dict[str, int]] = {}
    pair_component_ns: dict[str, dict[str, int]] = {}
    operation_ns: dict[str, int] = {}
    message: MessageCost = MessageCost()
    memory: MemoryCost = MemoryCost()
    tokens_per_micro_batch: int | None = None
    serial_components: list[str] = []
    slot_delay_ns: int = 0
    rank_delay_ns: list[int] = []
    model: list[LayerCost] = []
    stage_layers: list[int] = []
