"""Messages of the pretended NCCL: both sides end together, and who came early has waited."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run

LATENCY, LINK = 8.0, 160e3
"""Microseconds, and bytes in one of them: the usual settings."""

ROUNDING = 5.0
"""Microseconds between the clocks of two processes, of which Kineto keeps its own."""


def kernels(file):
    """NCCL's of a trace with two ranks, in order, by group and what it does."""
    trace = json.loads(gzip.decompress(file.read_bytes()))
    found = defaultdict(list)
    for event in sorted(trace["traceEvents"], key=lambda event: event.get("ts", 0)):
        said = event.get("args", {})
        if event.get("cat") == "kernel" and said.get("Group size") == 2:
            start = event["ts"] + trace["baseTimeNanoseconds"] / 1e3
            found[said["Process Group Ranks"], said["Process Group Description"]].append(
                (start, start + event["dur"], said)
            )
    return found


def pairs(run):
    """The two kernels of each message or exchange, of two ranks each."""
    by_group = defaultdict(list)
    for file in sorted(run.glob("rank*.json.gz")):
        for group, found in kernels(file).items():
            by_group[group].append(found)
    assert by_group
    for one, other in by_group.values():
        yield from zip(one, other, strict=True)


@pytest.mark.parametrize("mesh", ["pp4", "pp2_ep2"])
def test_both_sides_of_a_message_end_together(profiled, mesh):
    both = list(pairs(profiled(mesh)))
    assert len(both) > 50
    assert max(abs(one[1] - other[1]) for one, other in both) < ROUNDING
    waited = [max(one[0], other[0]) - min(one[0], other[0]) for one, other in both]
    assert max(waited) > 20 * ROUNDING  # else nothing would be shown


def test_a_message_takes_its_bytes_over_the_link_from_when_both_are_there(profiled):
    messages = [
        pair for pair in pairs(profiled("pp4")) if pair[0][2]["Collective name"] in ("send", "recv")
    ]
    assert len(messages) > 50
    for one, other in messages:
        size = 2 * one[2]["In msg nelems"]
        crossing = one[1] - max(one[0], other[0])
        assert crossing == pytest.approx(LATENCY + size / LINK, abs=ROUNDING)


@pytest.mark.parametrize("mesh", ["pp4", "pp2_ep2"])
def test_waiting_is_told_from_transfer_without_a_clock_moved(profiled, mesh):
    run = load_run(profiled(mesh))
    report = analyze(run)
    assert not [text for text in run.warnings if "clock" in text or "unsplit" in text]
    assert report.step_ns > 0
    assert all(rank.bubble_ns is not None for rank in report.ranks)
