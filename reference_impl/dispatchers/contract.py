"""What a dispatcher is: something that carries rows to the experts' ranks and back."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from dpprof.errors import DpprofError
from dpprof.reference.model.config import DISPATCHERS
from dpprof.reference.model.exchange import ExchangePlan


@dataclass(frozen=True)
class ExchangePlace:
    """Where a dispatcher works.

    `group` are the expert-parallel ranks (None: this one alone); no dispatch sends more than
    `rows` rows of `hidden` values in all. `sms` is how many
    multiprocessors communication may take, where the dispatcher decides that.
    """

    group: dist.ProcessGroup | None
    rows: int
    hidden: int
    dtype: torch.dtype
    device: torch.device
    sms: int


class Dispatcher(Protocol):
    """Moves rows between expert-parallel ranks, on the current stream.

    Both ways are used twice: `send` for dispatch, and for the gradients of what combine brought;
    `bring_back` for combine, and for the gradients of what dispatch sent.
    """

    waits_for_counts: bool
    """Whether a layer's first exchange makes the host wait, even where all counts are known."""

    def send(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows in send order to the ranks of their experts; gives those received, by source."""

    def bring_back(self, rows: Tensor, plan: ExchangePlan) -> Tensor:
        """Rows, as they were received, back to where they came from; gives them in send order."""


def make_dispatcher(name: str, place: ExchangePlace) -> Dispatcher:
    """The dispatcher called `name`; raises `DpprofError` where it is unknown or cannot run here."""
    if name not in DISPATCHERS:
        raise DpprofError(f"no dispatcher {name!r}; use one of {', '.join(DISPATCHERS)}")
    module = importlib.import_module(f"dpprof.reference.dispatchers.{name.replace('-', '_')}")
    dispatcher: Dispatcher = module.make(place)
    return dispatcher
