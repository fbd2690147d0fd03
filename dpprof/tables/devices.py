"""Numbers of the rows of a process that drives several devices: one row per device.

The device that communicates for its rank, else the first, has the rank's own number, so that all
that compares ranks goes on as ever; every other device has a number beyond those of ranks.
"""

from __future__ import annotations

from collections.abc import Mapping

MOST_RANKS = 1_000_000
"""No job has more: other numbers are not believed."""

MOST_DEVICES = 2_000
"""No process drives more: rows of other devices are not believed."""


def device_row(rank: int, device: int) -> int:
    """The number of the row of a further device of `rank`."""
    return rank + MOST_RANKS * (device + 1)


def rank_of(row: int) -> int:
    """The rank whose row this is."""
    return row % MOST_RANKS if row >= 0 else row


def device_of(row: int) -> int | None:
    """The device of a row that is not the rank's first; None where the number does not say."""
    return row // MOST_RANKS - 1 if row >= MOST_RANKS else None


def rank_label(row: int, devices: Mapping[int, int] | None = None) -> str:
    """``3``, or ``3, device 1``; `devices` gives the devices of rows numbered as their rank."""
    device = device_of(row)
    if device is None and devices is not None:
        device = devices.get(row)
    return str(row) if device is None else f"{rank_of(row)}, device {device}"


def rank_name(row: int, devices: Mapping[int, int] | None = None) -> str:
    """``rank 3``, or ``rank 3, device 1``."""
    return f"rank {rank_label(row, devices)}"


def rank_order(row: int) -> tuple[int, int]:
    """Sorts rows by rank, then by device."""
    return rank_of(row), row
