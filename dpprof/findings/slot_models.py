"""What the slots of each rank would take by the rank's own components, on two lanes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pandas as pd

from dpprof.analysis.stage_costs import measured_chunk
from dpprof.costs.profile import CostProfile, LayerCost
from dpprof.errors import DpprofError
from dpprof.runs.run import Run
from dpprof.schedules.actions import Slot, slot_operation
from dpprof.simulate.timing import slot_template
from dpprof.tables.columns import DIRECTION, RANK

Ratios = Mapping[str, float]
"""By component: how many times as long as elsewhere it takes."""


class SlotModels:
    """Lengths of a run's slots by the components that their own rank was seen to need.

    By rank and not by stage: a stage that two ranks run may be slow on one of them. `lengths` are
    those of `dpprof.analysis.costs_from_run.component_occurrences`.
    """

    def __init__(self, run: Run, costs: CostProfile, lengths: pd.DataFrame) -> None:
        assert run.schedule is not None
        self._costs = msgspec.structs.replace(costs, slot_delay_ns=0, rank_delay_ns=[])
        places = lengths.groupby([lengths[RANK].map(run.pp_rank), lengths[DIRECTION]])
        measured = {
            (int(str(place[0])), int(str(place[1]))): measured_chunk(costs, own, {})
            for place, own in places
        }
        self._chunks = [
            [measured.get((rank, way), ()) for way in range(len(stages))]
            for rank, stages in enumerate(run.schedule.placement.stages)
        ]

    @property
    def alike(self) -> bool:
        """Whether all chunks run the same components in as many layers."""
        chunks = [chunk for own in self._chunks for chunk in own]
        return len({tuple(map(_what_it_does, chunk)) for chunk in chunks}) == 1

    def side_by_side(self, pp_rank: int, slot: Slot, without: str = "") -> int | None:
        """The slot's length if each component ran once its lane and inputs were free.

        `without` is a component that takes no time. None: its components are not known.
        """
        costs = msgspec.structs.replace(self._costs, serial_components=[])
        return self._length(costs, pp_rank, slot, {without: float("inf")})

    def as_run(self, pp_rank: int, slot: Slot, slower: Ratios) -> int | None:
        """The length with the run's serial components, without what is `slower` than elsewhere."""
        return self._length(self._costs, pp_rank, slot, slower)

    def _length(self, costs: CostProfile, pp_rank: int, slot: Slot, slower: Ratios) -> int | None:
        operation = slot_operation(slot)
        forward, backward = (
            tuple(_quicker(layer, slower) for layer in self._chunks[pp_rank][action.direction])
            for action in (slot[0], slot[-1])
        )
        if not forward or not backward or operation in costs.operation_ns:
            return None
        try:
            template = slot_template(costs, operation, forward, backward)
        except DpprofError:
            return None
        return template.length_ns if template is not None else None


def _quicker(layer: LayerCost, slower: Ratios) -> LayerCost:
    def quicker(parts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        return {
            part: {name: round(ns / slower.get(name, 1.0)) for name, ns in own.items()}
            for part, own in parts.items()
        }

    return msgspec.structs.replace(
        layer,
        component_ns=quicker(layer.component_ns),
        pair_component_ns=quicker(layer.pair_component_ns),
    )


def _what_it_does(layer: LayerCost) -> frozenset[tuple[str, str]]:
    parts = layer.component_ns.items()
    return frozenset((part, name) for part, own in parts for name, ns in own.items() if ns)
