"""torch.distributed.pipelining: all its schedules, in the order of their own schedule object."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType
from typing import Any

from dpprof.errors import DpprofError
from dpprof.instrument.adapters.contract import Adapter, Pipeline
from dpprof.instrument.adapters.patching import listen
from dpprof.instrument.labels import is_inside, is_recording, slot_label
from dpprof.schedules.check import check_schedule
from dpprof.schedules.form import schedule_from_json, schedule_to_json
from dpprof.schedules.registry import make_schedule
from dpprof.tables.labels import SLOT_LABEL

_NAMES = {
    "ScheduleGPipe": "gpipe",
    "Schedule1F1B": "1f1b",
    "ScheduleInterleaved1F1B": "interleaved-1f1b",
    "ScheduleInterleavedZeroBubble": "interleaved-zero-bubble",
    "ScheduleZBVZeroBubble": "zbv",
    "ScheduleDualPipeV": "dualpipev",
    "ScheduleLoopedBFS": "looped-bfs",
}
_COMPUTES = ("F", "B", "I", "W")
_NUMBER = re.compile(r"\.(\d+)")
_PAIR = re.compile(r"PP:\((\d+)F(\d+);(\d+)B(\d+)\)OVERLAP_F_B")


_group_size = [0]
"""Ranks of the pipeline, known from the first slot on: no schedule begins with a pair."""


class _Rounds:
    """Where a step runs the schedule several times, micro-batches are numbered on.

    Has state: how many there were.
    """

    def __init__(self) -> None:
        self._micro_batches = self.count = 0

    def number(self, micro_batch: int | str) -> int:
        """The number in the step of one of this round."""
        return self._micro_batches + int(micro_batch)

    def ended(self, schedule: Any) -> None:
        """A round of the schedule has ended."""
        self._micro_batches += schedule._n_microbatches
        self.count += 1
        schedule.__dict__["_dpprof_rounds"] = self.count

    def start_over(self, *_: Any) -> None:
        """A step has ended."""
        self._micro_batches = self.count = 0


_rounds = _Rounds()


def _slot(stage: Any, operation: str, micro_batch: int) -> str:
    """The direction is the place of the stage among the rank's: also on a V."""
    _group_size[0] = stage.group_size
    return f"{operation}{stage.stage_index // stage.group_size}.{_rounds.number(micro_batch)}"


def _forward(stage: Any, fwd_chunk_id: int, *_: Any, **__: Any) -> str:
    return _slot(stage, "F", fwd_chunk_id)


def _backward(
    stage: Any, bwd_chunk_id: int, loss: Any = None, full_backward: bool = True, **_: Any
) -> str:
    return _slot(stage, "B" if full_backward else "I", bwd_chunk_id)


def _weight(stage: Any, bwd_chunk_id: int, *_: Any, **__: Any) -> str:
    return _slot(stage, "W", bwd_chunk_id)


def _trains(schedule: Any, *_: Any, **__: Any) -> bool:
    trains = bool(getattr(schedule, "_has_backward", True))
    if trains:
        _rounds.ended(schedule)
    return trains


def pipeline_of(schedule: Any, *_: Any, **__: Any) -> Pipeline:
    """What a schedule object of torch says of itself."""
    stages = getattr(schedule, "_stages", None) or [schedule._stage]
    held = tuple(sorted(stage.stage_index for stage in stages))
    first = stages[0]
    rounds = schedule.__dict__.get("_dpprof_rounds", 1)
    form = _form(schedule, first.group_size)
    return Pipeline(
        pp_rank=first.group_rank,
        pp=first.group_size,
        dp_rank=_replica(first),
        micro_batches=rounds * schedule._n_microbatches,
        stages=held,
        schedule=form if form is None or rounds == 1 else _repeated(form, rounds),
    )


def _replica(stage: Any) -> int:
    """Which of the parallel pipelines: neighbours share one, or every n-th rank does."""
    import torch.distributed as dist

    ranks = dist.get_process_group_ranks(stage.group) if stage.group is not None else [0]
    count = max(dist.get_world_size() // len(ranks), 1)
    return min(ranks) if min(ranks) < count else min(ranks) // len(ranks)


def _form(schedule: Any, pp: int) -> dict[str, Any] | None:
    """The order of a schedule object, None where it could not run or there is none.

    Torch 2.13 misnumbers the forwards of the last rank in the order of its own 1F1B, which it does
    not follow: schedules of one stage a rank are made by their names.
    """
    name = next((_NAMES[c.__name__] for c in type(schedule).__mro__ if c.__name__ in _NAMES), "")
    try:
        if not hasattr(schedule, "_stages"):
            return schedule_to_json(make_schedule(name, pp, schedule._n_microbatches))
        form = _own_order(schedule, name or type(schedule).__name__, pp)
        check_schedule(schedule_from_json(form))
    except DpprofError:
        return None
    return form


def _repeated(form: dict[str, Any], rounds: int) -> dict[str, Any]:
    """The order of a step that runs a schedule several times, each round after the other."""
    count = form["micro_batches"]

    def later(slot: str, by: int) -> str:
        return _NUMBER.sub(lambda found: f".{int(found[1]) + by}", slot)

    orders = [
        [later(slot, one * count) for one in range(rounds) for slot in order]
        for order in form["ranks"]
    ]
    name = f"{form['schedule']} x{rounds}"
    return {**form, "schedule": name, "micro_batches": rounds * count, "ranks": orders}


def _own_order(schedule: Any, name: str, pp: int) -> dict[str, Any]:
    order = schedule.pipeline_order
    stages = [sorted(_stages_in(order.get(rank, ()))) for rank in range(pp)]
    return {
        "schedule": name,
        "pp": pp,
        "micro_batches": schedule._n_microbatches,
        "ranks": [_slots_of(order.get(rank, ()), pp) for rank in range(pp)],
        "stages": stages,
        "streams": [0] * len(stages[0]),
    }


def _stages_in(actions: Any) -> set[int]:
    parts = [part for one in actions if one is not None for part in one.sub_actions or (one,)]
    return {part.stage_index for part in parts if part.computation_type.value in _COMPUTES}


def _slots_of(actions: Any, pp: int) -> list[str]:
    slots = []
    for action in actions:
        if action is None:
            continue
        parts = [
            f"{part.computation_type.value}{part.stage_index // pp}.{part.microbatch_index}"
            for part in action.sub_actions or (action,)
            if part.computation_type.value in _COMPUTES
        ]
        if parts:
            slots.append("&".join(parts))
    return slots


class _Action:
    """Torch's range of one action. Of an overlapped pair it is one slot, from its first compute.

    Has state as it opens the slot late: the waiting for the first input lies before.
    """

    def __init__(self, inner: AbstractContextManager[Any], pair: str) -> None:
        self._inner, self._pair = inner, pair
        self._slot = ExitStack()

    def __enter__(self) -> Any:
        entered = self._inner.__enter__()
        _open_pairs.append(self)
        return entered

    def __exit__(self, *error: Any) -> Any:
        _open_pairs.remove(self)
        self._slot.close()
        return self._inner.__exit__(*error)

    def begin(self) -> None:
        """The first computation begins."""
        if self._pair:
            self._slot.enter_context(slot_label(self._pair))
            self._pair = ""


_open_pairs: list[_Action] = []


def _in_pair(text: str) -> str | None:
    """None within an overlapped pair, whose slot is its own."""
    if not _open_pairs:
        return text
    _open_pairs[-1].begin()
    return None


def _extend(module: ModuleType) -> None:
    """Make torch's range of an overlapped pair the pair's slot."""
    inner = module.record_function

    def record_function(name: str, *arguments: Any) -> Any:
        pair = _PAIR.fullmatch(name) if is_recording() and not is_inside(SLOT_LABEL) else None
        size = _group_size[0]
        if pair is None or not size:
            return inner(name, *arguments)
        forward = f"F{int(pair[1]) // size}.{_rounds.number(pair[2])}"
        backward = f"B{int(pair[3]) // size}.{_rounds.number(pair[4])}"
        return _Action(inner(name, *arguments), f"{forward}&{backward}")

    listen(_rounds.start_over)
    module.record_function = record_function  # type: ignore[attr-defined]


ADAPTERS = (
    Adapter(
        name="torch-pipelining",
        module="torch.distributed.pipelining.stage",
        slots={
            "_PipelineStageBase.forward_one_chunk": lambda *a, **k: _in_pair(_forward(*a, **k)),
            "_PipelineStageBase.backward_one_chunk": lambda *a, **k: _in_pair(_backward(*a, **k)),
            "_PipelineStageBase.backward_weight_one_chunk": lambda *a, **k: _in_pair(
                _weight(*a, **k)
            ),
        },
    ),
    Adapter(
        name="torch-pipelining",
        module="torch.distributed.pipelining.schedules",
        steps={
            "PipelineScheduleSingle.step": pipeline_of,
            "PipelineScheduleMulti.step": pipeline_of,
            "_PipelineScheduleRuntime.step": pipeline_of,
        },
        training=_trains,
        extend=_extend,
    ),
)
