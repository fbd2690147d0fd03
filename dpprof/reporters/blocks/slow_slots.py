"""A slot that stands out, in words."""

from __future__ import annotations

from dpprof.analysis.observations import SlowSlot
from dpprof.reporters.blocks.units import time_unit
from dpprof.tables.devices import rank_name


def slow_words(slow: SlowSlot) -> str:
    """``rank 2, F0.3: computes 80.00 ms, its siblings 20.00: 60.00 ms of the step``."""
    unit = time_unit(slow.length_ns)
    does = "computes" if slow.what == "compute" else "idles"
    times = (slow.length_ns, slow.siblings_ns, slow.excess_ns)
    length, siblings, excess = (unit.text(one) for one in times)
    what = f"{does} {length} {unit.name}, its siblings {siblings}"
    return f"{rank_name(slow.rank)}, {slow.slot}: {what}: {excess} {unit.name} of the step"
