"""Where to put experts, and copies of the busy ones, so that every rank has as much to do.

Hierarchical load balancing as DeepSeek describes it (EPLB's README; DeepSeek-V3 technical report,
section 3.4): groups of experts to nodes, so that tokens stay on few nodes; within a node, copies
of the busiest experts; then all copies to the node's ranks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from dpprof.errors import DpprofError


class Machine(NamedTuple):
    """What experts are placed on: `slots` in all, evenly on `ranks`, these evenly on `nodes`.

    `groups` is how many groups the router divides the experts into.
    """

    ranks: int
    slots: int
    groups: int = 1
    nodes: int = 1


def place_experts(load: Sequence[float], machine: Machine) -> tuple[int, ...]:
    """The expert in each slot of a layer, rank by rank, for experts of this `load`.

    Every expert has at least one slot. Where the groups do not divide by the nodes, or a node
    would have fewer slots than experts, the nodes are left out of account. Raises `DpprofError`
    for sizes that do not divide, or too few slots.
    """
    ranks, slots, groups, nodes = machine
    if slots % ranks or len(load) % groups or ranks % nodes or slots < len(load):
        raise DpprofError(
            f"{len(load)} experts in {groups} groups cannot be put in {slots} slots on {ranks} "
            f"ranks of {nodes} nodes; give at least a slot for each expert, and sizes that divide"
        )
    if groups % nodes:
        nodes = 1
    size = len(load) // groups
    group_load = [sum(load[start : start + size]) for start in range(0, len(load), size)]
    placement: list[int] = []
    for own in _pack(group_load, list(range(groups)), nodes):
        experts = [group * size + number for group in sorted(own) for number in range(size)]
        copies = _with_copies(load, experts, slots // nodes)
        count = {expert: copies.count(expert) for expert in experts}
        each = [load[expert] / count[expert] for expert in copies]
        for bin_ in _pack(each, copies, ranks // nodes):
            placement.extend(copies[index] for index in bin_)
    return tuple(placement)


def rank_loads(load: Sequence[float], placement: Sequence[int], ranks: int) -> list[float]:
    """What each rank has to do where the tokens of an expert are shared among its copies."""
    copies = {expert: placement.count(expert) for expert in set(placement)}
    share = len(placement) // ranks
    return [
        sum(load[expert] / copies[expert] for expert in placement[start : start + share])
        for start in range(0, len(placement), share)
    ]


def _with_copies(load: Sequence[float], experts: Sequence[int], slots: int) -> list[int]:
    """`experts` once each, and again whichever has most to do per copy, until `slots` are full."""
    copies = list(experts)
    busiest = [(-load[expert], expert, 1) for expert in experts]
    heapq.heapify(busiest)
    while len(copies) < slots:
        _, expert, count = busiest[0]
        heapq.heapreplace(busiest, (-load[expert] / (count + 1), expert, count + 1))
        copies.append(expert)
    return copies


def _pack(weights: Sequence[float], names: Sequence[int], bins: int) -> list[list[int]]:
    """Indices of `weights` in `bins` equally full bins: the heaviest first, to the lightest bin.

    A bin that holds the same name already comes last: two copies of an expert on one rank are
    worth no more than one.
    """
    room = len(weights) // bins
    contents: list[list[int]] = [[] for _ in range(bins)]
    total = [0.0] * bins
    for index in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
        held = [{names[other] for other in own} for own in contents]
        free = (b for b in range(bins) if len(contents[b]) < room)
        best = min(free, key=lambda b: (names[index] in held[b], total[b], b))
        contents[best].append(index)
        total[best] += weights[index]
    return contents
