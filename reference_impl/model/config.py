"""Sizes of the model and of its training step: presets, checks, parameter and operation counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dpprof.errors import DpprofError

DISPATCHERS = ("all-to-all", "deepep", "symmetric-memory")
"""Each is a module of this package that has a ``make(place)``."""


DTYPES = ("float64", "float32", "bfloat16")
OPTIMIZERS = ("adamw", "sgd", "none")
ROUTINGS = ("scores", "balanced")
FUSIONS = ("none", "compile")
WIRES = ("self-copy", "stay", "paced", "engines")
"""What carries the rows of a rank that stands for many (`dispatchers/loopback.py`); the first is
the dispatcher's own exchange with itself."""
SM_LIMITS = ("none", "products")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A DeepSeek-V3-shaped transformer: every layer is latent attention, then a mixture of experts.

    `layers` counts the whole model; a stage's chunk is an equal share of them. One micro-batch is
    `micro_batch` sequences of `sequence` tokens on each expert-parallel rank. Raises `DpprofError`
    for sizes that cannot work together.
    """

    layers: int
    hidden: int
    heads: int
    head_size: int  # of values, and of the part of queries and keys without a position
    rope_size: int  # part of queries and keys that carries the position; even
    query_rank: int  # width of the latent that queries are made from
    key_value_rank: int  # width of the latent that keys and values are made from
    experts: int
    top_k: int  # routed experts per token
    expert_size: int  # inner width of a routed expert
    shared_size: int  # inner width of the shared expert, which sees every token
    vocab: int
    sequence: int
    micro_batch: int
    dtype: str = "float32"
    seed: int = 0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    fusion: str = "none"  # "compile": element-wise parts go through torch.compile
    # Routing (DeepSeek-V3 technical report, section 2.1.2).
    routing: str = "scores"  # "balanced" deals experts out like cards, for profiling
    expert_groups: int = 1
    top_groups: int = 1  # a token's experts come from this many groups
    route_scale: float = 1.0  # what the weights of a token's experts add up to
    bias_speed: float = 0.0  # by how much a step moves the bias that balances experts; 0: none
    capacity_factor: float = 0.0  # places per expert over the mean load; 0: as many as it takes
    # Expert parallelism.
    dispatcher: str = "all-to-all"
    communication_sms: int = 20  # multiprocessors that the all-to-all may take (DeepSeek's number)
    sm_limits: str = "none"  # "products": matrix products leave communication_sms free
    wire: str = "self-copy"  # of a rank that stands for many
    wire_rate: float = 160.0  # GB/s of the wire "paced", one way; 0: as fast as it can
    looped_ep: int = 1  # one rank stands for so many: it holds a share and gets its rows back
    expert_placement: tuple[tuple[int, ...], ...] = ()  # by layer: the expert in each slot

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and field.name != "seed" and not _is_count(value):
                raise DpprofError(f"model size {field.name} is {value!r}; give a number from 1")
        if self.top_k > self.experts:
            raise DpprofError(
                f"top_k {self.top_k} is more than the {self.experts} experts; lower top_k"
            )
        if self.experts % self.expert_groups or self.experts % self.looped_ep:
            raise DpprofError(
                f"{self.experts} experts do not divide by expert_groups {self.expert_groups} and "
                f"looped_ep {self.looped_ep}; give numbers that do"
            )
        if not self.expert_groups >= self.top_groups >= self._groups_needed:
            raise DpprofError(
                f"top_groups is {self.top_groups}; give {self._groups_needed} (enough for top_k "
                f"{self.top_k}) to {self.expert_groups} (expert_groups)"
            )
        if self.rope_size % 2:
            raise DpprofError(f"rope_size {self.rope_size} is odd; it rotates pairs, give it even")
        _check_choice("dtype", self.dtype, DTYPES)
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("routing", self.routing, ROUTINGS)
        _check_choice("fusion", self.fusion, FUSIONS)
        _check_choice("dispatcher", self.dispatcher, DISPATCHERS)
        _check_choice("wire", self.wire, WIRES)
        _check_choice("sm_limits", self.sm_limits, SM_LIMITS)
        if self.wire != "self-copy" and self.looped_ep == 1:
            raise DpprofError(
                f"wire {self.wire} is for a rank that stands for many; give looped_ep as well"
            )
        for name in ("route_scale", "bias_speed", "capacity_factor", "wire_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise DpprofError(f"{name} is {getattr(self, name)}; give a number from 0")
        object.__setattr__(self, "expert_placement", _placement(self))

    def check_parallel(self, stage_count: int, ep: int) -> None:
        """Raise `DpprofError` unless the model can be cut into these stages and expert shares."""
        if self.layers % stage_count:
            raise DpprofError(
                f"{self.layers} layers do not divide by the schedule's {stage_count} stages; "
                f"use a multiple of {stage_count} layers, or fewer pipeline ranks"
            )
        if self.held_experts % ep:
            raise DpprofError(
                f"{self.held_experts} experts do not divide by --ep {ep}; give an EP size that does"
            )
        if ep > 1 and self.looped_ep > 1:
            raise DpprofError(
                f"looped_ep {self.looped_ep} stands for expert-parallel ranks that are not there; "
                f"use it with --ep 1, or --ep {ep} without it"
            )

    def stage_layers(self, stage: int, stage_count: int) -> range:
        """Global layer numbers of a stage's chunk."""
        share = self.layers // stage_count
        return range(stage * share, (stage + 1) * share)

    def ep_experts(self, ep_rank: int, ep: int) -> range:
        """Slots that an expert-parallel rank holds in every layer; without a placement, experts."""
        share = self.held_experts // ep
        return range(ep_rank * share, (ep_rank + 1) * share)

    def expert_in(self, layer: int, slot: int) -> int:
        """The expert whose weights are in a slot of a layer."""
        return self.expert_placement[layer][slot] if self.expert_placement else slot

    @property
    def held_experts(self) -> int:
        """Expert slots that have weights, over all expert-parallel ranks."""
        if self.expert_placement:
            return len(self.expert_placement[0])
        return self.experts // self.looped_ep

    @property
    def slots(self) -> int:
        """Expert slots that rows are sorted by."""
        return self.held_experts * self.looped_ep

    @property
    def wire_words(self) -> str:
        """What stands for a link where one rank stands for many; "" where none does."""
        if self.looped_ep == 1:
            return ""
        if self.wire == "paced":
            rate = f"{self.wire_rate:g} GB/s" if self.wire_rate else "unpaced"
            return f"emulated wire: {self.communication_sms} multiprocessors, {rate}, no peer"
        return {
            "self-copy": "self-copy: the all-to-all is a copy inside the device, no peer, no link",
            "stay": "no wire: the all-to-all moves nothing, rows stay where they are",
            "engines": "PCIe loopback: copy engines, no multiprocessor, no peer",
        }[self.wire]

    @property
    def capacity(self) -> int:
        """Places that each rank has in each expert slot for a micro-batch; 0: no limit."""
        rows = self.tokens_per_micro_batch * self.top_k
        return math.ceil(self.capacity_factor * rows / self.slots)

    @property
    def rows_sent(self) -> int:
        """Rows that a rank sends in each dispatch of a micro-batch."""
        return self.slots * self.capacity or self.tokens_per_micro_batch * self.top_k

    @property
    def _groups_needed(self) -> int:
        return -(-self.top_k // (self.experts // self.expert_groups))

    @property
    def tokens_per_micro_batch(self) -> int:
        """Tokens of one micro-batch on one expert-parallel rank."""
        return self.micro_batch * self.sequence

    def tokens_per_step(self, micro_batches: int, data_ranks: int) -> int:
        """Tokens that one training step sees, over all micro-batches and data ranks (DP x EP)."""
        return micro_batches * data_ranks * self.tokens_per_micro_batch

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one layer's parameters by name; those of experts have the experts in front."""
        query_key = self.heads * (self.head_size + self.rope_size)
        return {
            "attention_norm": (self.hidden,),
            "query_down": (self.query_rank, self.hidden),
            "query_norm": (self.query_rank,),
            "query_up": (query_key, self.query_rank),
            "key_value_down": (self.key_value_rank + self.rope_size, self.hidden),
            "key_value_norm": (self.key_value_rank,),
            "key_value_up": (2 * self.heads * self.head_size, self.key_value_rank),
            "attention_out": (self.hidden, self.heads * self.head_size),
            "mlp_norm": (self.hidden,),
            "router": (self.experts, self.hidden),
            "shared_gate_up": (2 * self.shared_size, self.hidden),
            "shared_down": (self.hidden, self.shared_size),
            "expert_gate_up": (self.held_experts, 2 * self.expert_size, self.hidden),
            "expert_down": (self.held_experts, self.hidden, self.expert_size),
        }

    def parameter_count(self) -> int:
        """Parameters of the whole model, every expert slot counted."""
        layer = sum(_product(shape) for shape in self.shapes().values())
        return self.layers * layer + 2 * self.vocab * self.hidden + self.hidden

    def flops_per_token(self) -> float:
        """Floating-point operations of forward and backward for one token.

        Two for each weight of a matrix that the token meets and four per attended position,
        head and channel (causal: half the sequence on average); the backward costs twice that.
        """
        matrices = {name: shape for name, shape in self.shapes().items() if len(shape) > 1}
        met = sum(
            _product(shape) * (self.top_k / shape[0] if name.startswith("expert") else 1)
            for name, shape in matrices.items()
        )
        width = self.heads * (2 * self.head_size + self.rope_size)
        attended = 2 * width * (self.sequence + 1) / 2
        return 3 * (self.layers * (2 * met + attended) + 2 * self.vocab * self.hidden)

    def flops_per_step(self, micro_batches: int, data_ranks: int) -> float:
        """Floating-point operations of one training step over all ranks."""
        return self.flops_per_token() * self.tokens_per_step(micro_batches, data_ranks)

    def to_json(self) -> dict[str, Any]:
        """The plain form for `run.json`, read back by `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read `to_json`'s form; raises `DpprofError` that names an unknown or missing size."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise DpprofError(
                f"unknown model size {', '.join(unknown)}; the known ones are "
                f"{', '.join(sorted(known))}"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise DpprofError(f"model sizes are incomplete ({error}); give them all") from error


def _placement(config: ModelConfig) -> tuple[tuple[int, ...], ...]:
    """The placement as tuples (JSON has lists), every layer complete and of one length."""
    placement = tuple(tuple(layer) for layer in config.expert_placement)
    if not placement:
        return ()
    everyone = set(range(config.experts))
    if len(placement) != config.layers or config.looped_ep > 1:
        raise DpprofError(
            f"expert_placement has {len(placement)} layers for a model of {config.layers} with "
            f"looped_ep {config.looped_ep}; give one for each layer, and looped_ep 1"
        )
    if len({len(layer) for layer in placement}) > 1 or any(set(p) != everyone for p in placement):
        raise DpprofError(
            f"expert_placement must hold each of the {config.experts} experts in every layer, in "
            "equally many slots"
        )
    return placement


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DpprofError(f"{name} {value!r} is not known; use one of {', '.join(choices)}")


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result
