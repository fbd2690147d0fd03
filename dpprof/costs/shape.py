"""Costs from a model's shape, where there is no run: parameters, activations, rough times.

Parameters are exact. Activations are what a layer has to keep for its backward: the input of every
matrix product and norm, queries, keys, values and output of the attention (FlashAttention keeps no
scores; Dao, 2023), both halves of SwiGLU and their product, each expert's rows once for every token
routed to it; two bytes each. That is the count of Korthikanti et al. (2022, section 4.1), 34 sbh +
5 a s^2 b for a plain transformer, done for latent attention and experts (DeepSeek-V3 technical
report, sections 2.1 and 4.2). Times are operations over a rate and bytes over a rate, and know
nothing of kernels: measure a run for better ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost, MessageCost
from dpprof.errors import DpprofError

_KEPT_BYTES = 2
"""Of an activation: bfloat16."""


class ModelShape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of a transformer with latent attention and experts, and of its training step.

    `experts` 0: dense layers of `dense_size` only; else the first `dense_layers` are dense.
    `mtp_layers` further layers predict further tokens. A micro-batch has `tokens` tokens in
    sequences of `sequence`. Experts are shared among `ep` ranks, optimizer state of experts among
    `dp_experts` ranks and of the rest among `dp` ranks; bytes are of one parameter.
    """

    name: str = "shape"
    layers: int
    hidden: int
    heads: int
    head_size: int
    rope_size: int = 0
    query_rank: int = 0  # 0: queries are made from the hidden state at once
    key_value_rank: int = 0  # 0: so are keys and values
    dense_layers: int = 0
    dense_size: int = 0
    experts: int = 0
    top_k: int = 0
    expert_size: int = 0
    shared_size: int = 0
    mtp_layers: int = 0
    vocab: int
    tokens: int
    sequence: int
    ep: int = 1
    dp: int = 1
    dp_experts: int = 1
    parameter_bytes: int = 2
    gradient_bytes: int = 4
    optimizer_bytes: int = 12  # AdamW: fp32 master weight and two moments


class DeviceRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device does: operations a second in products, bytes a second between devices.

    A dispatched value takes `dispatch_bytes`, a combined one and one in a pipeline message two.
    Where `node_ranks` say how many ranks that share experts are in one machine, those exchange
    `node_exchange_bytes_per_second`, and only those of different machines
    `exchange_bytes_per_second`.
    """

    operations_per_second: float
    exchange_bytes_per_second: float
    node_ranks: int = 0
    node_exchange_bytes_per_second: float = 0.0
    message_bytes_per_second: float
    message_latency_ns: int = 10_000
    dispatch_bytes: int = 1  # fp8


def read_shape(plain: object, where: str) -> ModelShape:
    """The shape in its plain form; raises `DpprofError` naming `where` and the field."""
    try:
        shape = msgspec.convert(plain, ModelShape)
    except msgspec.ValidationError as error:
        raise DpprofError(f"{where}: not a model's shape ({error}); correct the field") from error
    for field, value in msgspec.structs.asdict(shape).items():
        least = 0 if field in _MAY_BE_NONE else 1
        if isinstance(value, int) and value < least:
            raise DpprofError(f"{where}: {field} is {value}; give a number from {least}")
    if shape.experts and (shape.experts % shape.ep or shape.top_k > shape.experts):
        raise DpprofError(
            f"{where}: {shape.experts} experts do not go with ep {shape.ep} and top_k {shape.top_k}"
        )
    if not shape.experts and not shape.dense_size:
        raise DpprofError(f"{where}: neither experts nor dense_size; give one of them")
    return shape


def costs_from_plain(plain: Mapping[str, object], where: str, ep: int | None = None) -> CostProfile:
    """The profile of a file that holds a ``shape`` and ``rates``; errors name the field.

    `ep` ranks may share the experts instead of the shape's: their optimizer state stays shared
    among as many ranks in all.
    """
    if plain.keys() != {"shape", "rates"}:
        raise DpprofError(f"{where}: a file with a shape holds shape and rates, and nothing else")
    try:
        rates = msgspec.convert(plain["rates"], DeviceRates)
    except msgspec.ValidationError as error:
        raise DpprofError(f"{where}: rates: {error}; correct the field") from error
    _check_rates(rates, where)
    shape = read_shape(plain["shape"], where)
    shape = shape if ep is None else _with_ep(shape, ep, where)
    if 0 < rates.node_ranks < shape.ep and shape.ep % rates.node_ranks:
        raise DpprofError(
            f"{where}: ep {shape.ep} is no multiple of rates.node_ranks {rates.node_ranks}"
        )
    return costs_from_shape(shape, rates)


def _check_rates(rates: DeviceRates, where: str) -> None:
    fields = ["operations", "exchange_bytes", "message_bytes"]
    fields += ["node_exchange_bytes"] * (rates.node_ranks != 0)
    for field in fields:
        rate = getattr(rates, f"{field}_per_second")
        if not (math.isfinite(rate) and rate >= 1):
            raise DpprofError(f"{where}: rates.{field}_per_second is {rate}; give a number from 1")
    if rates.node_ranks < 0:
        raise DpprofError(f"{where}: rates.node_ranks is {rates.node_ranks}; give a number from 1")


def unknown_times(plain: Mapping[str, object], ep: int) -> str:
    """Why a file with a shape says no times where `ep` ranks share the experts; empty: it does.

    One rate is of the links that the shape's own ranks have: whether more or fewer ranks have
    slower ones among theirs only `node_ranks` tells.
    """
    own = msgspec.convert(plain["shape"], ModelShape).ep
    if ep == own or msgspec.convert(plain["rates"], DeviceRates).node_ranks:
        return ""
    return (
        f"EP {ep}: times are not known, as the exchange's one rate is that of EP {own}; give "
        "rates.node_ranks and rates.node_exchange_bytes_per_second"
    )


def _with_ep(shape: ModelShape, ep: int, where: str) -> ModelShape:
    if not shape.experts or shape.experts % ep:
        raise DpprofError(f"{where}: {shape.experts} experts cannot be shared among {ep} ranks")
    if shape.dp_experts == 1:
        return msgspec.structs.replace(shape, ep=ep)
    copies, rest = divmod(shape.ep * shape.dp_experts, ep)
    if rest or not copies:
        raise DpprofError(
            f"{where}: ep {shape.ep} and dp_experts {shape.dp_experts} are no multiple of ep {ep}; "
            "give dp_experts for it"
        )
    return msgspec.structs.replace(shape, ep=ep, dp_experts=copies)


_MAY_BE_NONE = {
    *("rope_size", "query_rank", "key_value_rank", "dense_layers", "dense_size", "experts"),
    *("top_k", "expert_size", "shared_size", "mtp_layers"),
}


def attention_parameters(shape: ModelShape) -> int:
    """Weights of one layer's attention, norms included."""
    width = shape.heads * (shape.head_size + shape.rope_size)
    values = 2 * shape.heads * shape.head_size
    if shape.query_rank:
        queries = shape.query_rank * (shape.hidden + width + 1)
    else:
        queries = shape.hidden * width
    if shape.key_value_rank:
        down = shape.hidden * (shape.key_value_rank + shape.rope_size) + shape.key_value_rank
        keys = down + shape.key_value_rank * values
    else:
        keys = shape.hidden * (values + shape.heads * shape.rope_size)
    return queries + keys + shape.heads * shape.head_size * shape.hidden + shape.hidden


def mlp_parameters(shape: ModelShape, *, dense: bool) -> tuple[int, int]:
    """Weights of one layer's experts on one rank, and of the rest of its MLP, norm included."""
    if dense:
        return 0, 3 * shape.hidden * shape.dense_size + shape.hidden
    experts = 3 * shape.hidden * shape.expert_size * shape.experts // shape.ep
    rest = shape.hidden * (3 * shape.shared_size + shape.experts + 1)
    return experts, rest


def parameter_count(shape: ModelShape) -> int:
    """All weights of the model: every expert, embedding, head, last norm and MTP layers."""
    whole = msgspec.structs.replace(shape, ep=1)
    counts = [sum(mlp_parameters(whole, dense=dense)) for dense in (True, False)]
    dense = shape.layers if not shape.experts else shape.dense_layers
    layers = dense * counts[0] + (shape.layers - dense) * counts[1]
    layers += shape.layers * attention_parameters(shape)
    last = counts[1] if shape.experts else counts[0]
    mtp = last + attention_parameters(shape) + 2 * shape.hidden * shape.hidden + 2 * shape.hidden
    return layers + shape.mtp_layers * mtp + 2 * shape.vocab * shape.hidden + shape.hidden


def activation_bytes(shape: ModelShape, *, dense: bool) -> int:
    """What one layer keeps of a micro-batch for its backward."""
    hidden, width = shape.hidden, shape.heads * shape.head_size
    queries = shape.heads * (shape.head_size + shape.rope_size)
    attention = 2 * hidden + 2 * shape.query_rank + 2 * shape.key_value_rank + shape.rope_size
    attention += 2 * queries + 2 * width + 2 * shape.heads  # q and k, v and output, sums of scores
    mlp = 2 * hidden + 3 * (shape.dense_size if dense else shape.shared_size)
    if not dense:
        mlp += shape.top_k * (2 * hidden + 3 * shape.expert_size) + 2 * shape.experts
    return _KEPT_BYTES * shape.tokens * (attention + mlp)


def layer_memory(shape: ModelShape, *, dense: bool) -> MemoryCost:
    """Bytes of one layer on one rank."""
    experts, rest = mlp_parameters(shape, dense=dense)
    rest += attention_parameters(shape)
    return _memory(shape, rest, experts, activation_bytes(shape, dense=dense))


def _memory(shape: ModelShape, rest: int, experts: int, activations: int) -> MemoryCost:
    return MemoryCost(
        parameter_bytes=shape.parameter_bytes * (rest + experts),
        gradient_bytes=shape.gradient_bytes * (rest + experts),
        optimizer_bytes=shape.optimizer_bytes * rest // shape.dp
        + shape.optimizer_bytes * experts // shape.dp_experts,
        activation_bytes=activations,
    )


def costs_from_shape(shape: ModelShape, rates: DeviceRates) -> CostProfile:
    """A profile of the whole model layer by layer, with embedding, head and MTP layers."""
    usual_dense = not shape.experts
    usual = _component_ns(shape, rates, dense=usual_dense)
    dense = shape.layers if usual_dense else shape.dense_layers
    model = [_layer(shape, rates, dense=place < dense) for place in range(shape.layers)]
    model += [_mtp_layer(shape, rates)] * shape.mtp_layers
    model[0] = _with_embedding(shape, model[0])
    model[-1] = _with_head(shape, rates, model[-1])
    return CostProfile(
        name=shape.name,
        source="estimated from the model's shape, see dpprof.costs.shape; nothing was measured",
        layers=1,
        component_ns=usual,
        model=model,
        memory=layer_memory(shape, dense=usual_dense),
        message=MessageCost(
            bytes=_KEPT_BYTES * shape.tokens * shape.hidden,
            latency_ns=rates.message_latency_ns,
            bytes_per_second=rates.message_bytes_per_second,
        ),
        tokens_per_micro_batch=shape.tokens,
    )


def _component_ns(
    shape: ModelShape, rates: DeviceRates, *, dense: bool
) -> dict[str, dict[str, int]]:
    """Two operations a weight and token; I and W as much each, the scores' backward all in I."""
    tokens, second = shape.tokens, 1e9 / rates.operations_per_second
    weights = 2 * attention_parameters(shape) * tokens
    width = shape.heads * (2 * shape.head_size + shape.rope_size)
    scores = 2 * width * tokens * shape.sequence // 2  # causal: half of all positions
    experts, rest = mlp_parameters(msgspec.structs.replace(shape, ep=1), dense=dense)
    met = rest + (experts * shape.top_k // shape.experts if not dense and shape.experts else 0)
    mlp = round(2 * met * tokens * second)
    row_ns = 0.0 if dense else tokens * shape.hidden * exchange_seconds(shape, rates) * 1e9
    there, back = round(row_ns * rates.dispatch_bytes), round(row_ns * _KEPT_BYTES)
    moves = {"dispatch": there, "combine": back}
    # The backward of a dispatch brings gradients back, in two bytes; that of a combine sends them.
    returns = {"dispatch": back, "combine": there}
    return {
        "F": {"attention": round((weights + scores) * second), "mlp": mlp, **moves},
        "I": {"attention": round((weights + 2 * scores) * second), "mlp": mlp, **returns},
        "W": {"attention": round(weights * second), "mlp": mlp},
    }


def exchange_seconds(shape: ModelShape, rates: DeviceRates) -> float:
    """What a byte of each token's row costs to reach its experts' ranks, in seconds.

    A token goes once to every other rank that has any of its experts, and where `node_ranks` are
    known once to every other machine, over the slower links, and from there on: both at once, as
    DeepEP's kernels do (DeepSeek-V3 technical report, section 3.2.2), so the longer counts. Experts
    are drawn evenly, and without a limit of machines for a token.
    """
    ranks = _expected_others(shape, shape.ep)
    if not rates.node_ranks:
        return ranks / rates.exchange_bytes_per_second
    within = ranks / rates.node_exchange_bytes_per_second
    machines = max(1, shape.ep // rates.node_ranks)
    return max(within, _expected_others(shape, machines) / rates.exchange_bytes_per_second)


def _expected_others(shape: ModelShape, groups: int) -> float:
    """Of so many equal groups of experts, those that a token needs beside its own, in the mean.

    A group is not needed where all `top_k` of the experts drawn are others'.
    """
    without = shape.experts - shape.experts // groups
    missed = math.comb(without, shape.top_k) / math.comb(shape.experts, shape.top_k)
    return (groups - 1) * (1 - missed)


def _layer(shape: ModelShape, rates: DeviceRates, *, dense: bool) -> LayerCost:
    if dense == (not shape.experts):
        return LayerCost()
    return LayerCost(
        name="dense",
        component_ns=_component_ns(shape, rates, dense=dense),
        memory=layer_memory(shape, dense=dense),
    )


def _mtp_layer(shape: ModelShape, rates: DeviceRates) -> LayerCost:
    """A layer more, whose attention has a product of twice the width before it, and the head."""
    dense = not shape.experts
    own = layer_memory(shape, dense=dense)
    weights = 2 * shape.hidden * shape.hidden
    product = round(2 * weights * shape.tokens / rates.operations_per_second * 1e9)
    usual = _component_ns(shape, rates, dense=dense)
    longer = {part: {"attention": usual[part]["attention"] + product} for part in usual}
    more = _memory(shape, weights, 0, _KEPT_BYTES * shape.tokens * 2 * shape.hidden)
    return LayerCost(name="mtp", component_ns=longer, memory=_sum(own, more))


def _with_embedding(shape: ModelShape, layer: LayerCost) -> LayerCost:
    """The embedding takes memory, and next to no time."""
    own = layer.memory or layer_memory(shape, dense=not shape.experts)
    table = _memory(shape, shape.vocab * shape.hidden, 0, 0)
    name = " ".join([layer.name, "with embedding"]).strip()
    return msgspec.structs.replace(layer, name=name, memory=_sum(own, table))


def _with_head(shape: ModelShape, rates: DeviceRates, layer: LayerCost) -> LayerCost:
    """Head and loss of the model and of every MTP layer; logits are kept in four bytes."""
    own = layer.memory or layer_memory(shape, dense=not shape.experts)
    weights, heads = shape.vocab * shape.hidden, 1 + shape.mtp_layers
    logits = heads * shape.tokens * (4 * shape.vocab + _KEPT_BYTES * shape.hidden)
    output = round(2 * heads * weights * shape.tokens / rates.operations_per_second * 1e9)
    tables: Mapping[str, Mapping[str, int]] = layer.component_ns
    return msgspec.structs.replace(
        layer,
        name=" ".join([layer.name, "with head"]).strip(),
        component_ns={part: {**tables.get(part, {}), "output": output} for part in ("F", "I", "W")},
        memory=_sum(own, _memory(shape, weights + shape.hidden, 0, logits)),
    )


def _sum(one: MemoryCost, other: MemoryCost) -> MemoryCost:
    return MemoryCost(
        **{field: getattr(one, field) + getattr(other, field) for field in one.__struct_fields__}
    )
