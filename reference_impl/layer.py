"""The parts of a layer between two messages, as plain functions of tensors.

`before_dispatch`, `mlp` and `merge` are the model: the pipelined executor cuts the graph between
them, the unpipelined model does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_impl.attention import attention, rms_norm
from reference_impl.config import ModelConfig
from reference_impl.moe import (
    Routing,
    experts,
    gated_mlp,
    plan_routing,
    route,
    rows_to_send,
    weighted_sum,
)
from reference_impl.operators import Operators

Weights = Mapping[str, Tensor]


def before_dispatch(
    x: Tensor, weights: Weights, table: Tensor, config: ModelConfig, operators: Operators
) -> tuple[dict[str, Tensor], Routing]:
    """Attention with its residual, then everything up to the rows in send order.

    Gives ``residual [batch, sequence, hidden]``, ``local [tokens, hidden]`` (normed, for the
    shared expert), ``rows [tokens * top_k, hidden]``, ``weights [tokens, top_k]``, and the routing.
    """
    normed = rms_norm(x, weights["attention_norm"])
    residual = x + attention(normed, weights, table, operators, config.head_size)
    local = rms_norm(residual, weights["mlp_norm"]).flatten(0, 1)
    chosen_weights, chosen = route(local, weights["router"], config.top_k, operators)
    routing = plan_routing(chosen, config.experts)
    rows = rows_to_send(local, routing)
    parts = {"residual": residual, "local": local, "rows": rows, "weights": chosen_weights}
    return parts, routing


def mlp(
    received: Tensor,
    local: Tensor,
    counts: list[list[int]],
    weights: Weights,
    operators: Operators,
) -> dict[str, Tensor]:
    """``results`` of the experts held here on the rows received, ``shared`` on the local tokens."""
    shared = gated_mlp(local, weights["shared_gate_up"], weights["shared_down"], operators)
    return {"results": experts(received, counts, weights, operators), "shared": shared}


def merge(parts: Mapping[str, Tensor], routing: Routing) -> Tensor:
    """The layer's output: residual + shared expert + weighted sum of the rows ``returned``."""
    routed = weighted_sum(parts["returned"], parts["weights"], routing)
    return parts["residual"] + (routed + parts["shared"]).view_as(parts["residual"])


def summed_loss(x: Tensor, targets: Tensor, weights: Weights, operators: Operators) -> Tensor:
    """Cross-entropy of the next token, summed over the tokens, at least in single precision."""
    logits = operators.linear(rms_norm(x, weights["final_norm"]), weights["head"])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
