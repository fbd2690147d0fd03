"""Experts that are in several slots: which copy a row goes to, and their gradients added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ExpertCopies(NamedTuple):
    """The slots of every expert of a layer: ``slots [experts, most copies]``, ``copies [experts]``.

    Free places of `slots` are not looked at.
    """

    slots: Tensor
    copies: Tensor

    def slots_of(self, chosen: Tensor) -> Tensor:
        """Slots for ``chosen [tokens, top_k]``; an expert's tokens take turns among its copies."""
        turn = torch.arange(len(chosen), device=chosen.device).unsqueeze(-1)
        return self.slots[chosen, turn % self.copies[chosen]]


def make_copies(placement: Sequence[int], experts: int, device: torch.device) -> ExpertCopies:
    """From the expert in each slot, every expert being in at least one."""
    slots: list[list[int]] = [[] for _ in range(experts)]
    for slot, expert in enumerate(placement):
        slots[expert].append(slot)
    most = max(len(own) for own in slots)
    padded = [own + [-1] * (most - len(own)) for own in slots]
    copies = [len(own) for own in slots]
    return ExpertCopies(torch.tensor(padded, device=device), torch.tensor(copies, device=device))


def add_up_copies(
    gradient: Tensor, placement: Sequence[int], own: range, add_up: Callable[[Tensor], None]
) -> None:
    """Give every copy of an expert the sum of all copies' gradients, in place.

    ``gradient [own slots, ...]`` is this rank's; `add_up` sums a tensor over the ranks that hold
    the other slots, in place.
    """
    often = sorted({expert for expert in placement if placement.count(expert) > 1})
    if not often:
        return
    place = {expert: number for number, expert in enumerate(often)}
    mine = [(slot - own.start, place[placement[slot]]) for slot in own if placement[slot] in place]
    total = gradient.new_zeros((len(often), *gradient.shape[1:]))
    for slot, number in mine:
        total[number] += gradient[slot]
    add_up(total)
    for slot, number in mine:
        gradient[slot] = total[number]
