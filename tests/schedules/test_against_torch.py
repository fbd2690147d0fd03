"""The orders that PyTorch implements too are the same as PyTorch's (its names are private)."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule

pytest.importorskip("torch", reason="compares with torch.distributed.pipelining")
visualizer = pytest.importorskip(
    "torch.distributed.pipelining._schedule_visualizer",
    reason="this torch has no schedule visualizer to compare with",
)

LETTERS = {"FORWARD": "F", "FULL_BACKWARD": "B", "BACKWARD_INPUT": "I", "BACKWARD_WEIGHT": "W"}


def torch_order(name: str, pp: int, micro_batches: int, chunks: int) -> list[list[Any]]:
    """Slots of every rank as tuples of (operation, stage, micro-batch)."""

    def leaf(action: Any) -> tuple[str, int, int]:
        return LETTERS[action.computation_type.name], action.stage_index, action.microbatch_index

    return [
        [
            tuple(map(leaf, action.sub_actions or (action,)))
            for action in rank
            if action is not None and action.computation_type.name != "REDUCE_GRAD"
        ]
        for rank in visualizer.get_schedule_ops(name, pp, micro_batches, chunks)
    ]


def our_order(schedule: Schedule) -> list[list[Any]]:
    return [
        [
            tuple(
                (action.operation.value, schedule.stage(pp_rank, action.direction), action[2])
                for action in slot
            )
            for slot in slots
        ]
        for pp_rank, slots in enumerate(schedule.ranks)
    ]


@pytest.mark.parametrize(("pp", "micro_batches"), [(2, 4), (4, 8), (4, 12), (8, 16), (8, 24)])
@pytest.mark.parametrize(
    ("name", "theirs", "chunks"),
    [
        ("gpipe", "GPipe", 1),
        ("interleaved-1f1b", "Interleaved1F1B", 2),
        ("zbv", "ZBVZeroBubble", 2),
        ("dualpipev", "DualPipeV", 2),
    ],
)
def test_same_order(name: str, theirs: str, chunks: int, pp: int, micro_batches: int) -> None:
    ours = our_order(make_schedule(name, pp, micro_batches))
    assert ours == torch_order(theirs, pp, micro_batches, chunks)


@pytest.mark.parametrize(("pp", "micro_batches"), [(2, 2), (4, 4), (4, 5)])
def test_zbv_with_a_pipeline_that_never_fills(pp: int, micro_batches: int) -> None:
    ours = our_order(make_schedule("zbv", pp, micro_batches))
    assert ours == torch_order("ZBVZeroBubble", pp, micro_batches, 2)


@pytest.mark.parametrize(("pp", "micro_batches"), [(4, 8), (8, 16)])
def test_one_f_one_b_on_all_ranks_but_the_last(pp: int, micro_batches: int) -> None:
    """Torch's table numbers the last rank's forwards from 1 (2.13), so that rank is left out."""
    ours = our_order(make_schedule("1f1b", pp, micro_batches))
    assert ours[:-1] == torch_order("1F1B", pp, micro_batches, 1)[:-1]
