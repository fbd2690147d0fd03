"""Edges of the pipeline whose messages take longer than those the other way, or of other edges."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from dpprof.analysis.costs_from_run import edge_messages
from dpprof.costs.profile import MessageCost
from dpprof.runs.run import Run
from dpprof.simulate.walk import Edge

_SLOW = 1.5
"""Ratio from which on an edge is slow; between machines some are a little slower than within."""


def message_costs(run: Run, every: MessageCost) -> tuple[MessageCost, dict[Edge, MessageCost]]:
    """What a message takes, and what on slow edges; `every` is the median of all.

    An edge is slow beside the edge the other way, or beside the median of all edges.
    """
    known = edge_messages(run)
    slow = {edge: cost for edge, cost in known.items() if _is_slow(edge, known)}
    if not slow:
        return every, {}
    others = [cost for edge, cost in known.items() if edge not in slow]
    return min(others, key=lambda cost: _distance(cost, others)), slow


def _is_slow(edge: Edge, known: Mapping[Edge, MessageCost]) -> bool:
    usual = statistics.median_low([cost.duration_ns for cost in known.values()])
    back = known.get((edge[1], edge[0]))
    least = usual if back is None else min(usual, back.duration_ns)
    return known[edge].duration_ns > _SLOW * least


def _distance(cost: MessageCost, others: list[MessageCost]) -> float:
    return abs(cost.duration_ns - statistics.median([one.duration_ns for one in others]))
