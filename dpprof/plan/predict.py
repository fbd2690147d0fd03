"""Predicts one configuration: its step, throughput and memory, by the compiled simulator."""

from __future__ import annotations

from collections.abc import Hashable
from urllib.parse import urlencode

import msgspec

from dpprof.costs.profile import CostProfile, MemoryCost
from dpprof.costs.recompute import recomputed_bytes, with_recompute
from dpprof.costs.stages import cut_text, is_uniform, knows_memory, stage_layers, stage_memory
from dpprof.errors import DpprofError
from dpprof.plan.partition import balanced, layer_times, neighbours
from dpprof.plan.question import Question, Row
from dpprof.schedules.schedule import Schedule
from dpprof.simulate.activations import chunk_bytes, static_bytes
from dpprof.simulate.fast_step import Figures, fast_step
from dpprof.simulate.stage_timing import schedule_timing
from dpprof.simulate.timing import Timing

Cut = tuple[int, ...]
"""Layers of every stage."""

MOST_MOVES = 60
"""So many cuts at most are looked at to mend one."""


class Predictor:
    """Predicts the rows of a question; keeps the timings and cuts that configurations share."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._timings: dict[Hashable, Timing] = {}
        self._memories: dict[Hashable, tuple[MemoryCost, ...]] = {}
        self._cuts: dict[int, Cut] = {}
        costs = question.costs
        self._costs = {"none": costs}
        if "full" in question.recompute:
            self._costs["full"] = with_recompute(costs)

    def cut(self, stages: int) -> Cut:
        """The layers of every stage: the costs' own, equal parts, or else balanced by their time.

        Raises `DpprofError` where there are fewer layers than stages.
        """
        if stages not in self._cuts:
            self._cuts[stages] = self._make_cut(stages)
        return self._cuts[stages]

    def _make_cut(self, stages: int) -> Cut:
        costs, layers = self._question.costs, self._question.layers
        if len(costs.stage_layers) == stages and sum(costs.stage_layers) == layers:
            return tuple(costs.stage_layers)
        if not costs.model and layers % stages == 0:
            return (layers // stages,) * stages
        return balanced(layer_times(costs, layers), stages)

    def row(self, schedule: Schedule, recompute: str = "none", cut: Cut | None = None) -> Row:
        """The row of a schedule; raises as `fast_step` and `cut` do."""
        cut = self.cut(schedule.placement.stage_count) if cut is None else cut
        memories = self._memory(recompute, cut)
        timing = self._timing(schedule, recompute, cut)
        figures = fast_step(schedule, timing, chunk_bytes(schedule, memories))
        return self._judged(schedule, recompute, cut, figures, memories)

    def mended(self, row: Row, schedule: Schedule) -> Row:
        """The row with layers moved between stages as long as the step gets shorter by it."""
        left = MOST_MOVES
        better = True
        while better and left > 0:
            better = False
            for cut in neighbours(row.stage_layers):
                left -= 1
                other = self.row(schedule, row.recompute, cut)
                if _better(other, row):
                    row, better = other, True
                    break
                if left <= 0:
                    break
        return row

    def profile(self, recompute: str, cut: Cut) -> CostProfile:
        """The costs of a row."""
        costs = self._costs[recompute]
        if is_uniform(costs) and len(set(cut)) == 1:
            return msgspec.structs.replace(costs, layers=costs.layers)
        return msgspec.structs.replace(costs, stage_layers=list(cut))

    def _timing(self, schedule: Schedule, recompute: str, cut: Cut) -> Timing:
        costs = self._costs[recompute]
        alike = is_uniform(costs) and len(set(cut)) == 1
        shared = alike and len(costs.rank_delay_ns) != schedule.pp
        key = (recompute, cut[0]) if shared else (recompute, cut, schedule.placement)
        if key not in self._timings:
            layers = cut[0] if alike else None
            self._timings[key] = schedule_timing(schedule, self.profile(recompute, cut), layers)
        return self._timings[key]

    def _memory(self, recompute: str, cut: Cut) -> tuple[MemoryCost, ...]:
        key = recompute, cut
        if key not in self._memories:
            costs = self.profile(recompute, cut)
            layers = cut[0] if is_uniform(costs) else None
            assert stage_layers(costs, len(cut), layers) == cut
            self._memories[key] = stage_memory(costs, len(cut), layers)
        return self._memories[key]

    def _judged(
        self,
        schedule: Schedule,
        recompute: str,
        cut: Cut,
        figures: Figures,
        memories: tuple[MemoryCost, ...],
    ) -> Row:
        question = self._question
        pipelines = question.ranks // schedule.pp
        bytes_ = self._peak_bytes(schedule, recompute, figures, memories)
        over = None
        if bytes_ is not None and question.memory_bytes is not None:
            over = max(0, max(bytes_) - question.memory_bytes)
        known = not question.times_unknown
        tokens = question.costs.tokens_per_micro_batch if known else None
        done = schedule.micro_batches * pipelines
        return Row(
            schedule=schedule.name,
            pp=schedule.pp,
            pipelines=pipelines,
            chunks=schedule.placement.stage_count // schedule.pp,
            micro_batches=schedule.micro_batches,
            layers=max(cut),
            stage_layers=cut,
            recompute=recompute,
            step_ns=figures.step_ns if known else None,
            tokens_per_second=None if tokens is None else tokens * done / figures.step_ns * 1e9,
            bubble_share=_bubble_share(figures, schedule.pp) if known else None,
            peak_chunks=figures.peak_chunks,
            peak_bytes=bytes_,
            fits=None if over is None else over == 0,
            over_bytes=over,
            what_if=_what_if(schedule, cut) if recompute == "none" and known else None,
            ep=question.ep,
        )

    def _peak_bytes(
        self,
        schedule: Schedule,
        recompute: str,
        figures: Figures,
        memories: tuple[MemoryCost, ...],
    ) -> tuple[int, ...] | None:
        if not knows_memory(self._question.costs):
            return None
        again = recomputed_bytes(self._question.costs) if recompute == "full" else 0
        static = static_bytes(schedule, memories)
        return tuple(
            own + held + again for own, held in zip(static, figures.held_bytes, strict=True)
        )


def _better(one: Row, other: Row) -> bool:
    assert one.step_ns is not None
    assert other.step_ns is not None
    return (one.fits is False, one.step_ns) < (other.fits is False, other.step_ns)


def _bubble_share(figures: Figures, pp: int) -> float:
    return 1 - sum(figures.busy_ns) / (figures.step_ns * pp)


def _what_if(schedule: Schedule, cut: Cut) -> str:
    asked = {
        "schedule": schedule.name,
        "pp": schedule.pp,
        "micro_batches": schedule.micro_batches,
        "layers": cut_text(cut),
    }
    return f"/what_if?{urlencode(asked)}"


def predicted(question: Question, schedule: Schedule) -> Row:
    """The row of a schedule; raises `DpprofError` as `Predictor.row` does."""
    if not schedule.pp:
        raise DpprofError("a schedule without ranks cannot be predicted")
    return Predictor(question).row(schedule)
