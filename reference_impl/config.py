"""Sizes of the model and of its training step: presets, checks, parameter and operation counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from dpprof.errors import DpprofError

DTYPES = ("float64", "float32", "bfloat16")
OPTIMIZERS = ("adamw", "sgd", "none")


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

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and field.name != "seed" and not _is_count(value):
                raise DpprofError(f"model size {field.name} is {value!r}; give a number from 1")
        if self.top_k > self.experts:
            raise DpprofError(
                f"top_k {self.top_k} is more than the {self.experts} experts; lower top_k"
            )
        if self.rope_size % 2:
            raise DpprofError(f"rope_size {self.rope_size} is odd; it rotates pairs, give it even")
        _check_choice("dtype", self.dtype, DTYPES)
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)

    def check_parallel(self, stage_count: int, ep: int) -> None:
        """Raise `DpprofError` unless the model can be cut into these stages and expert shares."""
        if self.layers % stage_count:
            raise DpprofError(
                f"{self.layers} layers do not divide by the schedule's {stage_count} stages; "
                f"use a multiple of {stage_count} layers, or fewer pipeline ranks"
            )
        if self.experts % ep:
            raise DpprofError(
                f"{self.experts} experts do not divide by --ep {ep}; give an EP size that does"
            )

    def stage_layers(self, stage: int, stage_count: int) -> range:
        """Global layer numbers of a stage's chunk."""
        share = self.layers // stage_count
        return range(stage * share, (stage + 1) * share)

    def ep_experts(self, ep_rank: int, ep: int) -> range:
        """Global numbers of the experts that an expert-parallel rank holds in every layer."""
        share = self.experts // ep
        return range(ep_rank * share, (ep_rank + 1) * share)

    @property
    def tokens_per_micro_batch(self) -> int:
        """Tokens of one micro-batch on one expert-parallel rank."""
        return self.micro_batch * self.sequence

    def tokens_per_step(self, micro_batches: int, ep: int) -> int:
        """Tokens that one training step sees, over all micro-batches and EP ranks."""
        return micro_batches * ep * self.tokens_per_micro_batch

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
            "expert_gate_up": (self.experts, 2 * self.expert_size, self.hidden),
            "expert_down": (self.experts, self.hidden, self.expert_size),
        }

    def parameter_count(self) -> int:
        """Parameters of the whole model, every expert once."""
        layer = sum(_product(shape) for shape in self.shapes().values())
        return self.layers * layer + 2 * self.vocab * self.hidden + self.hidden

    def flops_per_token(self) -> float:
        """Floating-point operations of forward and backward for one token.

        Two for each weight of a matrix that the token meets and four per attended position,
        head and channel (causal: half the sequence on average); the backward costs twice that.
        """
        matrices = {name: shape for name, shape in self.shapes().items() if len(shape) > 1}
        met = sum(
            _product(shape) * (self.top_k / self.experts if name.startswith("expert") else 1)
            for name, shape in matrices.items()
        )
        width = self.heads * (2 * self.head_size + self.rope_size)
        attended = 2 * width * (self.sequence + 1) / 2
        return 3 * (self.layers * (2 * met + attended) + 2 * self.vocab * self.hidden)

    def flops_per_step(self, micro_batches: int, ep: int) -> float:
        """Floating-point operations of one training step over all ranks."""
        return self.flops_per_token() * self.tokens_per_step(micro_batches, ep)

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


# 16 layers in every preset: they divide by the stages of each schedule up to PP=8 (two chunks a
# rank) and PP=16 (one), so that runs of different schedules train the same model.
PRESETS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        # For tests: a component takes about a millisecond on one core.
        "tiny": ModelConfig(
            layers=16,
            hidden=32,
            heads=2,
            head_size=8,
            rope_size=4,
            query_rank=24,
            key_value_rank=16,
            experts=8,
            top_k=2,
            expert_size=16,
            shared_size=16,
            vocab=64,
            sequence=16,
            micro_batch=1,
        ),
        # For a laptop: a component takes five to ten milliseconds on one core.
        "small": ModelConfig(
            layers=16,
            hidden=256,
            heads=4,
            head_size=64,
            rope_size=32,
            query_rank=192,
            key_value_rank=128,
            experts=8,
            top_k=2,
            expert_size=256,
            shared_size=256,
            vocab=1024,
            sequence=128,
            micro_batch=2,
        ),
        # For a GPU: DeepSeek-V3's proportions at about a quarter of its width.
        "medium": ModelConfig(
            layers=16,
            hidden=2048,
            heads=16,
            head_size=128,
            rope_size=64,
            query_rank=768,
            key_value_rank=512,
            experts=32,
            top_k=4,
            expert_size=1024,
            shared_size=1024,
            vocab=32768,
            sequence=2048,
            micro_batch=1,
            dtype="bfloat16",
            learning_rate=3e-4,
        ),
    }
)


def preset(name: str) -> ModelConfig:
    """The preset of that name; raises `DpprofError` that lists the presets."""
    if name not in PRESETS:
        raise DpprofError(f"no model preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]
