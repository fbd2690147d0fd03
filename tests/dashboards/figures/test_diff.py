"""What the figures of a diff draw adds up to the diff exactly."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.model import Diff
from dpprof.costs.load import load_costs
from dpprof.dashboards.figures.diff import (
    LEVELS,
    change_map,
    leaves,
    rank_rows,
    stage_rows,
    waterfall_changes,
)
from dpprof.dashboards.figures.difference import OTHERS, StateChange, waterfall
from dpprof.dashboards.view.theme import DARK, LIGHT
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run

MS = TimeUnit("ms", 10**6)


def simulated(name: str, pp: int, micro_batches: int) -> Any:
    return simulated_run(make_schedule(name, pp, micro_batches), load_costs("deepseek-v3"))


@pytest.fixture(scope="module")
def diff() -> Diff:
    return diff_runs(simulated("1f1b", 4, 8), simulated("dualpipe", 4, 8))


@pytest.mark.parametrize("level", LEVELS)
def test_the_bars_add_up_to_the_nanosecond(diff: Diff, level: str) -> None:
    found = leaves(diff, level)
    assert sum(change for _, change in found) == diff.time.change_ns
    assert all(change for _, change in found)
    assert len({name for name, _ in found}) == len(found)
    assert len(found) <= 14
    count = diff.steps * diff.rank_count
    assert [one.change_ns for one in waterfall_changes(diff, level)] == [
        change / count for _, change in found
    ]


def test_levels_go_from_parts_to_causes(diff: Diff) -> None:
    parts, states, causes = ([name for name, _ in leaves(diff, level)] for level in LEVELS)
    assert "computing" in parts or not diff.time.parts[0].change_ns
    assert "compute_only" in states
    assert "overlap" in states
    assert any(name.startswith("bubble.dependency, ") for name in causes) or OTHERS in causes


def test_rows_are_the_states_of_every_rank(diff: Diff) -> None:
    rows = rank_rows(diff)
    assert [row.label for row in rows] == ["0", "1", "2", "3"]
    for row, rank in zip(rows, diff.ranks, strict=True):
        parts = dict(row.changes_ns)
        assert parts.pop("step") * diff.steps == rank.time.change_ns
        assert sum(parts.values()) * diff.steps == rank.time.change_ns


def test_stages_together_are_the_job(diff: Diff) -> None:
    steps = [row.changes_ns["step"] for row in stage_rows(diff)]
    assert sum(steps) * diff.steps == pytest.approx(diff.time.change_ns)


def test_ranks_that_do_not_correspond_have_no_rows() -> None:
    assert rank_rows(diff_runs(simulated("1f1b", 2, 8), simulated("1f1b", 4, 8))) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_map_has_the_changes_and_a_symmetric_scale(diff: Diff, theme: Any) -> None:
    rows = rank_rows(diff)
    heat = change_map(rows, "rank", theme, MS).data[0]
    names = [name.replace(":<br>", ".") for name in heat.x]
    for line, row in zip(heat.z, rows, strict=True):
        assert dict(zip(names, line, strict=True)) == {
            name: pytest.approx(row.changes_ns.get(name, 0) / 10**6) for name in names
        }
    left_out = set(rows[0].changes_ns) - set(names)
    assert not any(row.changes_ns.get(name) for row in rows for name in left_out)
    assert heat.zmin == -heat.zmax < 0
    assert heat.texttemplate == "%{z:+,.2f}"


def test_a_long_cause_is_written_in_lines_as_narrow_as_its_bar() -> None:
    changes = [
        StateChange("exposed.combine, other transfers under way", 5.0),
        StateChange("compute", 1.0),
    ]
    (trace,) = waterfall(("new", "base"), 10.0, changes, LIGHT, MS).data
    assert list(trace.x) == [
        "base",
        "exposed:<br>combine,<br>other<br>transfers<br>under way",
        "compute",
        "new",
    ]
