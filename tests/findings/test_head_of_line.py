"""A send that stands behind a receive which nobody needs yet is named, with what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.findings.find import find_findings
from dpprof.findings.head_of_line import held_up
from dpprof.trace.load import load_run
from tests.trace.nsys.twin import SEND_RECV, Twin

US = 1_000
STEP = 100 * US
SCHEDULE = (("F0", "F1", "B0", "B1"), ("F0", "B0", "F1", "B1"))
STARTS = ((0, 10, 32, 54), (11, 21, 33, 43))
"""1F1B of two ranks; slots take 10 us, messages 1. Rank 0 posts its receive of the gradient before
the send of F1's output, which so leaves at 32 and not at 20: F1 of rank 1 starts at 33, not 31.
Rank 1 receives on a stream of its own, where its receive is there from 11 on."""


def write(folder: Path, *, waits: bool) -> Path:
    twin = Twin(2)
    for step in range(2):
        begin = step * STEP
        for rank in (0, 1):
            for slot, start in zip(SCHEDULE[rank], STARTS[rank], strict=True):
                at = begin + start * US
                twin.kernel(rank, "gemm", (at, at + 10 * US), _launch(begin, rank, slot), 7)
                spot = _launch(begin, rank, slot)
                twin.range(rank, f"PP:{rank}{slot}", (spot - 50, spot + 50))
            for n, (way, start, end, needs) in enumerate(MESSAGES[rank]):
                _message(twin, rank, (way, n), (begin, start, end), needs if waits else "")
            twin.range(rank, f"iteration{step + 1}", (begin - 5 * US, begin + 90 * US))
    return twin.write(folder)[1]


MESSAGES = (
    (
        ("send", 10, 11, "after F0"),
        ("recv", 11, 32, "before B0"),
        ("send", 32, 33, "after F1"),
        ("recv", 53, 54, "before B1"),
    ),
    (
        ("recv", 0, 11, "before F0"),
        ("send", 31, 32, "after B0"),
        ("recv", 11, 33, "before F1"),
        ("send", 53, 54, "after B1"),
    ),
)


def _launch(begin: int, rank: int, slot: str) -> int:
    """Slots are launched before the step, with room for a message before each."""
    return begin - 4 * US + 200 + 400 * SCHEDULE[rank].index(slot)


def _message(
    twin: Twin, rank: int, what: tuple[str, int], times: tuple[int, int, int], needs: str
) -> None:
    (way, number), (begin, start, end) = what, times
    at = begin - 4 * US + 60 + 400 * number
    stream = 11 if (rank, way) == (1, "recv") else 9
    when, _, slot = needs.partition(" ")
    launched = _launch(begin, rank, slot) if slot else 0
    if when == "after":
        at = max(at, launched + 12)
        twin.wait(rank, (7, launched + 10), (stream, at - 1))
    twin.message(rank, way, 1 - rank, (at, at + 20))
    twin.kernel(rank, SEND_RECV, (begin + start * US, begin + end * US), at + 10, stream)
    if when == "before":
        twin.wait(rank, (stream, at + 21), (7, launched - 1))


def test_a_send_behind_a_receive_that_nobody_needs_is_named(tmp_path: Path) -> None:
    run = load_run(write(tmp_path, waits=True))
    found = held_up(run)
    assert found[["rank", "slot", "by"]].drop_duplicates().values.tolist() == [[1, "F0.1", 0]]
    assert found["late_ns"].tolist() == [12 * US, 12 * US]
    findings = find_findings(run, analyze(run)).findings
    (finding,) = [one for one in findings if one.what == "head of line"]
    assert (finding.ranks, finding.slots) == ([0], ["F0.1"])
    assert finding.gain_ns == pytest.approx(2 * US, abs=50)


def test_without_waits_nothing_is_claimed(tmp_path: Path) -> None:
    run = load_run(write(tmp_path, waits=False))
    assert held_up(run).empty
    assert "head of line" not in [one.what for one in find_findings(run, analyze(run)).findings]
