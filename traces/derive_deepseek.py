"""Derives the built-in cost profile ``deepseek-v3`` from DeepSeek's published training profile.

Usage: ``python -m traces.derive_deepseek train.json dpprof/costs/deepseek-v3.json``,
with ``train.json`` (or ``.json.gz``) of https://github.com/deepseek-ai/profile-data.

What is measured: the components of one overlapped forward-backward pair of 4 MoE layers on one
H800 of an EP64 group, hidden size 7168, 4096 tokens; a component's time is the busy time of the
compute kernels that its annotation launched, for dispatch and combine that of the communication
kernels (notification included, and so some waiting for other ranks); medians over the 4 layers.
What is assumed is below, each with its reason, and summed up in the profile's `source`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.costs.load import costs_to_json
from dpprof.costs.profile import CostProfile, MemoryCost, MessageCost
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.trace.load import load_run

NAME = "deepseek-v3"

SOURCE = (
    "deepseek-ai/profile-data train.json (H800, one overlapped pair of 4 MoE layers, EP64, hidden "
    "7168, 4096 tokens), by python -m traces.derive_deepseek. Measured: component times, "
    "medians over layers, inside the pair; outside one they are taken to be the same. Assumed: "
    "pipeline messages of 4096*7168 bf16 at 40 GB/s and 10 us (one 400 Gb/s NIC a GPU); memory "
    "from the layer sizes of the DeepSeek-V3 report: parameters bf16, gradients fp32, optimizer "
    "8 bytes a parameter, sharded over 2 (experts) and 128 ranks; activations kept in fp8 but "
    "latents in bf16, up-projections and SwiGLU outputs recomputed."
)

# DeepSeek-V3 technical report, sections 4.2 (model) and 3.2 (training).
TOKENS = 4096
HIDDEN = 7168
HEADS = 128
QUERY_LATENT, KEY_VALUE_LATENT, ROTARY, HEAD = 1536, 512, 64, 128
EXPERTS, CHOSEN_EXPERTS, EXPERT_HIDDEN, EXPERT_PARALLEL = 256, 8, 2048, 64

MESSAGE = MessageCost(
    bytes=TOKENS * HIDDEN * 2,
    # InfiniBand of 400 Gb/s is 50 GB/s; DeepEP reports 43 to 47 GB/s of it, plain sends get less.
    bytes_per_second=40e9,
    latency_ns=10_000,
)


def memory_cost() -> MemoryCost:
    """Bytes per MoE layer on one rank, from the layer sizes and the assumptions of `SOURCE`."""
    attention = (
        HIDDEN * QUERY_LATENT
        + QUERY_LATENT * HEADS * (HEAD + ROTARY)
        + HIDDEN * (KEY_VALUE_LATENT + ROTARY)
        + KEY_VALUE_LATENT * HEADS * 2 * HEAD
        + HEADS * HEAD * HIDDEN
    )
    expert = 3 * HIDDEN * EXPERT_HIDDEN
    replicated = attention + expert + HIDDEN * EXPERTS  # one shared expert, and the router
    sharded = EXPERTS // EXPERT_PARALLEL * expert
    # 2048 GPUs are 16 pipeline ranks of 128: two expert-parallel groups of 64 (ZeRO-1 over both).
    optimizer = 8 * sharded // 2 + 8 * replicated // 128
    routed = TOKENS * CHOSEN_EXPERTS  # token copies that reach a rank under balanced routing
    latents = 2 * (QUERY_LATENT + KEY_VALUE_LATENT + ROTARY)
    attention_kept = TOKENS * (2 * HIDDEN + latents + HEADS * HEAD)
    # Inputs of the experts and of SwiGLU (gate and up), one byte each.
    experts_kept = (routed + TOKENS) * (HIDDEN + 2 * EXPERT_HIDDEN)
    return MemoryCost(
        parameter_bytes=2 * (replicated + sharded),
        gradient_bytes=4 * (replicated + sharded),
        optimizer_bytes=optimizer,
        activation_bytes=attention_kept + experts_kept,
    )


def deepseek_costs(run: Run) -> CostProfile:
    """The profile from the run of DeepSeek's trace; raises `DpprofError` for another trace."""
    measured = costs_from_run(run, NAME)
    parts = {part: set(costs) for part, costs in measured.component_ns.items()}
    both = {"attention", "dispatch", "mlp", "combine"}
    if parts != {"F": both, "I": both, "W": {"attention", "mlp"}}:
        raise DpprofError(f"{run.name}: not DeepSeek's training profile; give its train.json")
    return msgspec.structs.replace(
        measured,
        source=SOURCE,
        message=MESSAGE,
        memory=memory_cost(),
        tokens_per_micro_batch=TOKENS,
    )


def main(trace: str, output: str) -> None:
    """Read the trace and write the profile's JSON."""
    Path(output).write_text(costs_to_json(deepseek_costs(load_run(trace))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
