"""Places experts for a run by the load that an earlier one measured."""

from __future__ import annotations

import os
from pathlib import Path

from dpprof.analysis.experts.placement import Machine, place_experts
from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME, read_manifest


def placement_for(run: Path, groups: int, ep: int, redundant: int) -> tuple[tuple[int, ...], ...]:
    """The expert in each slot, by layer, for `ep` ranks with `redundant` slots for copies.

    Raises `DpprofError` where the run has measured no load.
    """
    path = run / MANIFEST_NAME if run.is_dir() else run
    load = read_manifest(path).expert_load
    if not load:
        raise DpprofError(
            f"{path}: no load of experts was measured; profile with --device cpu or cuda first"
        )
    machine = Machine(ep, len(load[0]) + redundant, groups, _nodes(ep))
    return tuple(place_experts(layer, machine) for layer in load)


def _nodes(ep: int) -> int:
    """Machines that the expert-parallel ranks stand on: neighbours share one as far as it goes."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", ep))
    return ep // local if local < ep and ep % local == 0 else 1
