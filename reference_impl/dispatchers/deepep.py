"""DeepSeek's DeepEP, where it is installed. Written against its API, not yet run.

DeepEP carries tokens and copies them where they arrive; here every row is a copy already, for one
expert, so its own saving (one copy for each rank or node) is not used. What it brings are its
kernels: their speed, and how few multiprocessors they take.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dpprof.errors import DpprofError
from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace
from dpprof.reference.model.exchange import ExchangePlan


class DeepEP:
    """Has state because DeepEP's buffers outlive an exchange."""

    waits_for_counts = True
    """DeepEP's first dispatch reads from the GPU how many tokens come (`Buffer.dispatch`)."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows to their experts; the first exchange of a layer lays out the others."""
        if plan.handle is not None:
            received, *_ = self._buffer.dispatch(rows, handle=plan.handle)
            return received
        experts = len(plan.sent_counts)
        expert = torch.repeat_interleave(
            torch.arange(experts, device=rows.device), plan.sent_counts, output_size=len(rows)
        ).unsqueeze(-1)
        to_rank, to_node, to_expert, in_rank, _ = self._buffer.get_dispatch_layout(expert, experts)
        received, _, _, _, plan.handle, _ = self._buffer.dispatch(
            rows,
            topk_idx=expert,
            topk_weights=torch.ones_like(expert, dtype=torch.float32),
            num_tokens_per_rank=to_rank,
            num_tokens_per_rdma_rank=to_node,
            num_tokens_per_expert=to_expert,
            is_token_in_rank=in_rank,
        )
        return received

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows back; there is one copy of each, so adding up changes nothing."""
        returned, *_ = self._buffer.combine(rows.contiguous(), plan.handle)
        return returned


def make(place: ExchangePlace) -> Dispatcher:
    """DeepEP's buffer for `place`, with its own configurations' sizes."""
    try:
        from deep_ep import Buffer
    except ImportError as error:
        raise DpprofError(
            f"the dispatcher deepep needs DeepEP ({error}); install it from "
            "github.com/deepseek-ai/DeepEP, or use --set dispatcher=all-to-all"
        ) from error
    if place.group is None or place.dtype is not torch.bfloat16:
        raise DpprofError("DeepEP carries bfloat16 between ranks; use --set dispatcher=all-to-all")
    Buffer.set_num_sms(place.sms)
    ranks, row_bytes = place.group.size(), place.hidden * 2
    nvlink_bytes = rdma_bytes = 0
    for config in (Buffer.get_dispatch_config(ranks), Buffer.get_combine_config(ranks)):
        nvlink_bytes = max(config.get_nvl_buffer_size_hint(row_bytes, ranks), nvlink_bytes)
        rdma_bytes = max(config.get_rdma_buffer_size_hint(row_bytes, ranks), rdma_bytes)
    return DeepEP(Buffer(place.group, nvlink_bytes, rdma_bytes))
