"""The parts of a layer between two messages, as plain functions of tensors.

`before_dispatch`, `mlp` and `merge` are the model: the pipelined executor cuts the graph between
them, the unpipelined model does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dpprof.reference.model.attention import attention, rms_norm
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.exchange import ExchangePlan
from dpprof.reference.model.expert_copies import ExpertCopies
from dpprof.reference.model.moe import (
    Routing,
    experts,
    gated_mlp,
    plan_routing,
    rows_to_send,
    weighted_sum,
)
from dpprof.reference.model.operators import Operators
from dpprof.reference.model.routing import choose_experts

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layer:
    """One layer on one rank: its parameters by short name, and what its router remembers.

    `bias` and `load` are ``[experts]``: what balances the choice of experts, and how many rows
    each of them got in this step. `copies` says where experts are, if not in their own slot.
    """

    config: ModelConfig
    weights: Weights
    rotary: Tensor
    bias: Tensor
    load: Tensor
    copies: ExpertCopies | None = None


def before_dispatch(
    x: Tensor, layer: Layer, operators: Operators
) -> tuple[dict[str, Tensor], Routing]:
    """Attention with its residual, then everything up to the rows in send order.

    Gives ``residual [batch, sequence, hidden]``, ``local [tokens, hidden]`` (normed, for the
    shared expert), ``rows [rows sent, hidden]``, ``weights [tokens, top_k]``, and the routing.
    """
    config, weights = layer.config, layer.weights
    normed = rms_norm(x, weights["attention_norm"])
    residual = x + attention(normed, weights, layer.rotary, operators, config.head_size)
    local = rms_norm(residual, weights["mlp_norm"]).flatten(0, 1)
    choice = choose_experts(local, weights["router"], layer.bias, config, operators)
    routing = _routing(choice.experts, layer)
    rows = rows_to_send(local, routing)
    parts = {"residual": residual, "local": local, "rows": rows, "weights": choice.weights}
    return parts, routing


def _routing(chosen: Tensor, layer: Layer) -> Routing:
    """Where the rows go; counts them for the load."""
    expert = chosen.flatten()
    layer.load.scatter_add_(0, expert, torch.ones_like(expert))
    slots = chosen if layer.copies is None else layer.copies.slots_of(chosen)
    return plan_routing(slots, layer.config.slots, layer.config.capacity)


def mlp(
    received: Tensor, local: Tensor, plan: ExchangePlan, weights: Weights, operators: Operators
) -> dict[str, Tensor]:
    """``results`` of the experts held here on the rows received, ``shared`` on the local tokens."""
    shared = gated_mlp(local, weights["shared_gate_up"], weights["shared_down"], operators)
    return {"results": experts(received, plan, weights, operators), "shared": shared}


def merge(parts: Mapping[str, Tensor], routing: Routing) -> Tensor:
    """The layer's output: residual + shared expert + weighted sum of the rows ``returned``."""
    routed = weighted_sum(parts["returned"], parts["weights"], routing)
    return parts["residual"] + (routed + parts["shared"]).view_as(parts["residual"])


def summed_loss(x: Tensor, targets: Tensor, weights: Weights, operators: Operators) -> Tensor:
    """Cross-entropy of the next token, summed over the tokens, at least in single precision."""
    logits = operators.linear(rms_norm(x, weights["final_norm"]), weights["head"])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
