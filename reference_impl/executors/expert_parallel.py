"""Expert parallelism of one rank: what carries rows, and what is known of their numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.distributed as dist

from dpprof.reference.dispatchers.contract import Dispatcher, ExchangePlace, make_dispatcher
from dpprof.reference.dispatchers.loopback import make_loopback
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.exchange import ExchangePlan, known_plan, plan_exchange
from dpprof.reference.model.moe import Routing
from dpprof.reference.model.routing import balanced_counts
from dpprof.reference.model.streams import keep_for_current_stream
from dpprof.reference.runtime.mesh import Groups, Mesh


@dataclass(frozen=True)
class Exchanger:
    """A rank's share of all exchanges.

    Where every rank sends the same rows whatever the tokens (experts with a capacity, experts
    dealt out), `known` is every exchange's plan and the host never waits for the device. Else the
    ranks tell each other before every dispatch, and the host waits for what they say.
    """

    dispatcher: Dispatcher
    group: dist.ProcessGroup | None
    looped: int
    known: ExchangePlan | None

    @property
    def makes_the_host_wait(self) -> bool:
        """Whether the host must read from the device before a layer's first exchange."""
        return self.known is None or self.dispatcher.waits_for_counts

    def plan(self, routing: Routing) -> ExchangePlan:
        """What the rows of a layer and micro-batch take; on the current stream."""
        if self.known is not None:
            return replace(self.known)
        return plan_exchange(keep_for_current_stream(routing.counts), self.group, self.looped)


def make_exchanger(
    config: ModelConfig, mesh: Mesh, groups: Groups, device: torch.device
) -> Exchanger:
    """The exchanges of a model on this rank."""
    dtype = getattr(torch, config.dtype)
    group = groups.ep
    place = ExchangePlace(
        group, config.rows_sent, config.hidden, dtype, device, config.communication_sms
    )
    if config.wire == "self-copy":
        dispatcher = make_dispatcher(config.dispatcher, place)
    else:
        dispatcher = make_loopback(config.wire, place, config.wire_rate)
    counts, known = _known_counts(config), None
    if counts is not None:
        own = config.ep_experts(mesh.ep_rank, mesh.ep)
        known = known_plan(counts, slice(own.start, own.stop), mesh.ep, device, config.looped_ep)
    return Exchanger(dispatcher, group, config.looped_ep, known)


def _known_counts(config: ModelConfig) -> list[int] | None:
    if config.capacity:
        return [config.capacity] * config.slots
    if config.routing == "balanced" and not config.expert_placement:
        return balanced_counts(config.tokens_per_micro_batch, config)
    return None
