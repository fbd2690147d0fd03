"""How evenly the ranks' experts are used, layer by layer, and what another placement would give."""

from __future__ import annotations

from collections.abc import Sequence

from dpprof.analysis.experts.placement import Machine, place_experts, rank_loads
from dpprof.analysis.observations import ExpertFigures, LayerLoad
from dpprof.runs.manifest import Manifest


def expert_figures(manifest: Manifest | None) -> ExpertFigures | None:
    """The skew of each layer's dispatch: rows of the busiest rank over the mean of the ranks.

    A rank that gets more rows than the others is what all of them wait for in every exchange.
    None where no load was measured, or where one rank holds all experts.
    """
    if manifest is None or not manifest.expert_load:
        return None
    sizes = manifest.sizes
    ranks = manifest.mesh.get("ep", 1) * int(sizes.get("looped_ep", 1))
    experts = len(manifest.expert_load[0])
    placement = sizes.get("expert_placement") or [list(range(experts))] * len(manifest.expert_load)
    slots, groups = len(placement[0]), int(sizes.get("expert_groups", 1))
    if ranks == 1 or slots % ranks or experts % groups:
        return None
    same = Machine(ranks, slots, groups)
    more = Machine(ranks, slots + ranks, groups)
    return ExpertFigures(
        ranks=ranks,
        experts=experts,
        slots=slots,
        layers=[
            LayerLoad(
                layer=layer,
                rows=sum(load),
                busiest_expert=max(range(experts), key=lambda expert: load[expert]),
                expert_skew=_skew(load),
                skew=_skew(rank_loads(load, own, ranks)),
                placed_skew=_skew(rank_loads(load, place_experts(load, same), ranks)),
                copied_skew=_skew(rank_loads(load, place_experts(load, more), ranks)),
            )
            for layer, (load, own) in enumerate(zip(manifest.expert_load, placement, strict=True))
        ],
    )


def _skew(load: Sequence[float]) -> float | None:
    total = sum(load)
    return max(load) * len(load) / total if total else None
