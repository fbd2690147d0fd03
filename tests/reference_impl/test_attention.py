"""Multi-head latent attention against the papers' formulas, head by head and token by token."""

from __future__ import annotations

import math

import torch

from dpprof.reference.model.attention import attention, rotary_table
from dpprof.reference.model.operators import PLAIN
from dpprof.reference.model.parameters import make_parameters
from dpprof.reference.model.presets import preset

CPU = torch.device("cpu")


def norm(x, weight):
    return x / math.sqrt((x @ x) / len(x) + 1e-6) * weight


def turned(x, position):
    """Channel pairs (i, i + half) as complex numbers, turned by position times frequency."""
    half = len(x) // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    numbers = torch.complex(x[:half], x[half:]) * torch.polar(
        torch.ones(half, dtype=torch.float64), position * frequency
    )
    return torch.cat((numbers.real, numbers.imag))


def latent_attention(x, weights, config):
    """DeepSeek-V2, equations 1 to 19, for ``x [sequence, hidden]``."""
    size, rope = config.head_size, config.rope_size
    outputs = []
    for t in range(len(x)):
        query = weights["query_up"] @ norm(weights["query_down"] @ x[t], weights["query_norm"])
        heads = []
        for head in range(config.heads):
            own = query[head * (size + rope) : (head + 1) * (size + rope)]
            content, position = own[:size], turned(own[size:], t)
            scores, values = [], []
            for s in range(t + 1):
                down = weights["key_value_down"] @ x[s]
                latent = norm(down[: config.key_value_rank], weights["key_value_norm"])
                up = (weights["key_value_up"] @ latent).view(config.heads, 2 * size)[head]
                shared = turned(down[config.key_value_rank :], s)  # one for all heads
                score = content @ up[:size] + position @ shared
                scores.append(score / math.sqrt(size + rope))
                values.append(up[size:])
            mix = torch.softmax(torch.stack(scores), 0)
            heads.append(mix @ torch.stack(values))
        outputs.append(weights["attention_out"] @ torch.cat(heads))
    return torch.stack(outputs)


def test_latent_attention_equals_the_formulas(exact_config):
    weights = make_parameters(exact_config, range(1), range(8), CPU).layer(0)
    weights = {name: value.detach() for name, value in weights.items()}
    generator = torch.Generator().manual_seed(8)
    for name in ("query_norm", "key_value_norm"):
        weights[name] = torch.rand(weights[name].shape, dtype=torch.float64, generator=generator)
    x = torch.randn(1, 9, exact_config.hidden, dtype=torch.float64, generator=generator)
    table = rotary_table(exact_config, CPU)[:, :9]
    found = attention(x, weights, table, PLAIN, exact_config.head_size)
    torch.testing.assert_close(
        found[0], latent_attention(x[0], weights, exact_config), rtol=1e-10, atol=1e-12
    )


def test_deepseeks_attention_has_its_published_shapes():
    """DeepSeek-V3's config.json: 128 heads of 128 + 64 and 128, latents of 1536 and 512."""
    shapes = preset("deepseek-v3-layer").shapes()
    assert {name: shapes[name] for name in shapes if name.startswith(("query", "key"))} == {
        "query_down": (1536, 7168),
        "query_norm": (1536,),
        "query_up": (128 * 192, 1536),
        "key_value_down": (512 + 64, 7168),
        "key_value_norm": (512,),
        "key_value_up": (128 * 256, 512),
    }
