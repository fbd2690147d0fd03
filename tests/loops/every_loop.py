"""Other people's loops, one after the other, in one process: `every_loop.py NAME...`."""

from __future__ import annotations

import sys
from functools import partial

import frameworks
import pipelines
import replicas
from ranks import run_ranks

PIPELINES = {
    "GPipe": partial(pipelines.train, "GPipe"),
    "GPipe-gap": partial(pipelines.train, "GPipe", "gap"),
    "1F1B": partial(pipelines.train, "1F1B"),
    "1F1B-wire": partial(pipelines.train, "1F1B", "wire"),
    "Interleaved1F1B": partial(pipelines.train, "Interleaved1F1B"),
    "InterleavedZeroBubble": partial(pipelines.train, "InterleavedZeroBubble"),
    "ZBVZeroBubble": partial(pipelines.train, "ZBVZeroBubble"),
    "DualPipeV": partial(pipelines.train, "DualPipeV"),
    "torchtitan": partial(pipelines.torchtitan, "1F1B", 2),
    **frameworks.JOBS,
}
REPLICAS = {name: partial(replicas.train, name) for name in ("ddp", "fsdp2")}

if __name__ == "__main__":
    for one in sys.argv[1:]:
        if one in PIPELINES:
            run_ranks(pipelines.WORLD, PIPELINES[one], slow_wire=one.endswith("-wire"))
        else:
            run_ranks(replicas.WORLD, REPLICAS[one])
