"""Faults that no cost profile has, planted in the emulated device of a run in processes of its own.

Python imports the folder's `sitecustomize.py` first in every process of the run, and that patches
the emulated device there. Nothing of the installed package knows of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PLANTS = {
    # Rank 1 stops in the middle of the same slot of every step.
    "collection": """
    inner = EmulatedExecutor.begin_slot
    def begin_slot(self, slot, program, received):
        self.number = getattr(self, "number", 0) + 1
        if self.rank == 1 and self.number == 7:
            half = len(program) // 2
            program = tuple(
                replace(one, start_ns=one.start_ns + 60 * MS, end_ns=one.end_ns + 60 * MS)
                if index >= half else one
                for index, one in enumerate(sorted(program, key=lambda one: one.start_ns))
            )
            program = tuple(sorted(program, key=lambda one: one.lane is Lane.COMPUTE))
        inner(self, slot, program, received)
    EmulatedExecutor.begin_slot = begin_slot
""",
    # All ranks wait for their data before the first slot of a step.
    "loader": """
    inner = EmulatedExecutor.begin_step
    def begin_step(self, step):
        inner(self, step)
        self._free_ns += 80 * MS
    EmulatedExecutor.begin_step = begin_step
""",
    # Messages down the pipeline take eight times as long as those up.
    "one-way": """
    class Edges(dict):
        def __init__(self, cost):
            self.cost, self.slow = cost, slower(cost)
        def __missing__(self, edge):
            self[edge] = Edge(self.slow if edge[0] < edge[1] else self.cost)
            return self[edge]
    inner = EmulatedWire.__init__
    def start(self, cost):
        inner(self, cost)
        self._edges = Edges(cost)
    EmulatedWire.__init__ = start
""",
}

_SITE = """
from dataclasses import replace
import msgspec
from dpprof.reference.executors.emulated import EmulatedExecutor
from dpprof.reference.executors.emulated_messages import Edge, EmulatedWire
from dpprof.schedules.components import Lane
MS = 10**6
def slower(cost):
    return msgspec.structs.replace(cost, bytes_per_second=cost.bytes_per_second / 8)
def numbered():
    inner, begin = EmulatedExecutor.__init__, EmulatedExecutor.begin_step
    def start(self, costs, layers, schedule, mesh, groups):
        self.rank = mesh.pp_rank
        inner(self, costs, layers, schedule, mesh, groups)
    def begin_step(self, step):
        self.number = 0
        begin(self, step)
    EmulatedExecutor.__init__, EmulatedExecutor.begin_step = start, begin_step
def plant():
"""


def profile(arguments: list[str], plant: str, folder: Path) -> None:
    """``dpprof profile`` in a process of its own, with a plant of `PLANTS` or none ("")."""
    code = _SITE + (PLANTS[plant] if plant else "    pass\n") + "\nnumbered()\nplant()\n"
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "dpprof", "profile", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"profiling failed: {' '.join(arguments)}\n{done.stderr}")
