"""Slots as traces name them, which need not be the way schedules do."""

from __future__ import annotations

from functools import lru_cache

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Slot, parse_slot


@lru_cache(maxsize=1 << 16)
def read_slot(text: str) -> Slot | None:
    """The actions of a slot; None where a training loop has named it in its own way."""
    try:
        return parse_slot(text)
    except DpprofError:
        return None
