"""A run that is analyzed in many small blocks has the figures of one in a single block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.tables import blocks
from dpprof.tables.blocks import row_blocks
from dpprof.trace.load import load_run

TRACES = Path(__file__).parents[2] / "traces"


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 9))
def test_blocks_hold_every_row_once_and_whole_groups(groups: list[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST_ROWS", most)
        found = list(row_blocks(np.array(groups, dtype=object)))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(groups)))
    held = [{groups[row] for row in block.tolist()} for block in found]
    assert sum(map(len, held)) == len(set(groups))
    assert all((np.diff(block) > 0).all() for block in found)


@pytest.mark.parametrize("name", ["1f1b", "dualpipe"])
def test_small_blocks_change_no_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = analyze(load_run(TRACES / name))
    monkeypatch.setattr(blocks, "MOST_ROWS", 5)
    assert analyze(load_run(TRACES / name)) == whole
