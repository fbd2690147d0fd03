"""Parts of a change: which are listed, which are rounded, whose stage they are."""

from __future__ import annotations

import pandas as pd
import pytest

from dpprof.analysis.diff.bubbles import bubbles_beside
from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.parts import MOST_PARTS, Scale, largest
from dpprof.analysis.diff.work_accounts import Cells
from dpprof.analysis.diff.work_labels import Labels


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_changes_are_listed_whichever_way_they_go(sign: int) -> None:
    small = [Scale(1, 1).part(f"small {i:02}", 5, 5 + (-1) ** i) for i in range(MOST_PARTS + 1)]
    big = Scale(1, 1).part("big", 1000, 1000 + 900 * sign)
    listed = largest([*small, big])
    assert [part.name for part in listed][:2] == ["big", "small 00"]
    assert len(listed) == MOST_PARTS + 1
    assert listed[-1].name == "others"
    assert sum(part.change_ns for part in listed) == big.change_ns + 1


@pytest.mark.parametrize(
    ("state", "stage"), [("bubble.dependency", 3), ("bubble.cooldown", -1), ("bubble.warmup", 3)]
)
def test_after_the_last_computation_no_stage_is_held_up(state: str, stage: int) -> None:
    row = {"rank": 0, "state": state, "cause_kind": "", "cause": "", "cause_rank": -1}
    bubbles = pd.DataFrame([{**row, "slot": "B0.1", "own_ns": 7}])
    none = pd.DataFrame()
    cells = Cells(none, none, none, bubbles, none, 4)
    labels = Labels({0: (3,)}, (0,))
    found = bubbles_beside(cells, cells, (labels, labels), [(0, 0)])
    assert found["stage"].tolist() == [stage, stage]


def test_shares_of_calls_are_rounded_to_the_nearest(make_run, event) -> None:
    """Of three calls that take 20 ns, two are the same work: 13.3 ns, and of 10 ns 6.7."""
    for length, same in ((20, 13), (10, 7)):
        spans = (0, length - 6), (30, 33), (40, 43)
        base = make_run([event(0, *span, name="gemm") for span in spans])
        new = make_run([event(0, *span, name="gemm") for span in ((0, 5), (10, 48))])
        parts = {part.name: part.base_ns for part in diff_runs(base, new).work.parts}
        assert parts == {"same work": same, "removed": length - same}
