"""Sides that split off waiting differently: what does not compare is not known."""

from __future__ import annotations

from typing import Any

import pytest

from dpprof.gate.attribution import ComparedSides, find_culprits
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.gate.split import incomparable
from dpprof.reporters.gate.sentences import headline, rule_words

MS = 10**6


@pytest.fixture
def sides(make_snapshot) -> tuple[FigureSnapshot, FigureSnapshot]:
    """All is split in the first, messages of rank 1 are not in the second."""

    def side(transfer: int, wait: Any) -> FigureSnapshot:
        return make_snapshot(
            {"exposed_ns": 10 * MS + transfer, "compute_ns": 500 * MS},
            {
                "p2p.total_ns": [10 * MS, 10 * MS + transfer],
                "exposed.p2p_ns": [10 * MS, 10 * MS + transfer],
                "dispatch.total_ns": [7 * MS, 7 * MS],
                "dispatch.wait_ns": [2 * MS, 2 * MS],
                "compute_ns": [500 * MS, 500 * MS],
            },
        ), wait

    (split, _), (unsplit, _) = side(0, 0), side(90 * MS, None)
    for snapshot, wait in ((split, 90 * MS), (unsplit, None)):
        column = snapshot.ranks["compute_ns"]
        snapshot.ranks["p2p.wait_ns"] = type(column)(mean=[90 * MS, wait])
    return split, unsplit


@pytest.mark.parametrize(
    ("figure", "rank", "known"),
    [
        ("exposed_ns", None, False),
        ("exposed_ns", 1, False),
        ("exposed_ns", 0, True),
        ("bubble.dependency_share", 1, False),
        ("p2p.total_ns", 1, False),
        ("dispatch.total_ns", 1, True),
        ("hidden_share", None, False),
        ("compute_ns", 1, True),
        ("including_wait.communication_ns", 1, True),
        ("step_ns", None, True),
        ("memory_ns", 1, True),
    ],
)
def test_what_holds_waiting_is_not_compared(sides, figure: str, rank: int | None, known) -> None:
    split, unsplit = sides
    said = "p2p is unsplit in the {} only (rank 1): waiting counts as transfer"
    for run, base, name in ((unsplit, split, "run"), (split, unsplit, "baseline")):
        assert incomparable(run, base, figure, rank) == (None if known else said.format(name))
    assert incomparable(split, split, figure, rank) is None
    assert incomparable(unsplit, unsplit, figure, rank) is None


def test_a_missing_trace_breaks_no_default_rule_and_blames_nobody(sides) -> None:
    split, unsplit = sides
    base = Baseline(name="base", snapshot=split)
    result = gate(unsplit, [], base)
    assert headline(result).endswith(" limits kept, 4 n/a against base")
    statuses = {rule.metric: rule.status for rule in result.rules}
    assert (statuses["exposed_ns"], statuses["compute_ns"]) == ("skipped", "passed")
    assert find_culprits(ComparedSides(unsplit, split), times=True, memory=False) == []
    asked = gate(unsplit, ["exposed_ns > +5%"], base)
    assert not asked.passed  # what is asked for and not known never passes silently
    assert rule_words(asked.rules[0]) == (
        "exposed_ns: n/a, p2p is unsplit in the run only (rank 1): waiting counts as transfer"
    )
