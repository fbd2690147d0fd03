"""Grouped expert products against the card's own bf16 matmul rate, measured in the same run.

    python tests/benchmarks/bench_gpu_grouped.py [--rows 32768] [--experts 4]

Shapes are those of DeepSeek-V3's experts (hidden 7168, inner 2048); the rate of the card is that of
an 8192 x 8192 x 8192 product. Prints forward, input gradient and weight gradient as shares of it,
by the grouped kernel and one expert after the other. ``--json FILE`` writes them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

from dpprof.reference.model import grouped
from dpprof.reference.model.grouped import (
    RowGroups,
    add_grouped_weight_gradient,
    grouped_input_gradient,
    grouped_linear,
)

HIDDEN, INNER, SQUARE = 7168, 2048, 8192


def seconds(work: Callable[[], object], repeats: int = 20) -> float:
    """Mean of `repeats` runs after five to warm up, by the GPU's clock."""
    for _ in range(5):
        work()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats / 1000


def draw(*shape: int) -> torch.Tensor:
    """Random values, as kernels are slower on them than on zeros."""
    return torch.randn(*shape, device="cuda").to(torch.bfloat16)


def card_rate() -> float:
    """Operations per second of a large square product."""
    first, second = draw(SQUARE, SQUARE), draw(SQUARE, SQUARE)
    return 2 * SQUARE**3 / seconds(lambda: first @ second)


def expert_rates(rows: int, experts: int) -> dict[str, float]:
    """Operations per second of the three products of an expert's first matrix."""
    counts = [rows // experts] * experts
    ends = torch.tensor(counts, device="cuda").cumsum(0).to(torch.int32)
    groups = RowGroups(counts, ends)
    x, weight, gradient = (
        draw(rows, HIDDEN),
        draw(experts, 2 * INNER, HIDDEN),
        draw(rows, 2 * INNER),
    )
    total = torch.zeros(experts, 2 * INNER, HIDDEN, device="cuda")
    work = 2 * rows * HIDDEN * 2 * INNER
    return {
        "forward": work / seconds(lambda: grouped_linear(x, weight, groups)),
        "input_gradient": work / seconds(lambda: grouped_input_gradient(gradient, weight, groups)),
        "weight_gradient": work
        / seconds(lambda: add_grouped_weight_gradient(total, gradient, x, groups)),
    }


def main() -> None:
    """Measure by the kernel, then by the loop; print shares of the card's rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    card = card_rate()
    shares = {"card_tflops": card / 1e12}
    by_kernel = expert_rates(options.rows, options.experts)
    shares |= {f"grouped_{name}": rate / card for name, rate in by_kernel.items()}
    grouped._works = lambda device: False
    by_loop = expert_rates(options.rows, options.experts)
    shares |= {f"loop_{name}": rate / card for name, rate in by_loop.items()}
    for name, value in shares.items():
        print(f"{name:30} {value:.3f}")
    if options.json:
        options.json.write_text(json.dumps(shares, indent=1) + "\n")


if __name__ == "__main__":
    main()
