"""A link that stands out, in words."""

from __future__ import annotations

from dpprof.analysis.observations import SlowLink
from dpprof.reporters.blocks.units import TimeUnit


def link_words(link: SlowLink, unit: TimeUnit) -> str:
    """``messages from rank 1 to rank 2 take 30.00 ms, others 0.20: 206.00 ms of the step``."""
    takes, others = unit.full(link.message_ns), unit.text(link.others_ns)
    between = f"messages from rank {link.sender} to rank {link.receiver}"
    return f"{between} take {takes}, others {others}: {unit.full(link.excess_ns)} of the step"
