"""Which findings gain the same time: both taken out at once, timed again."""

from __future__ import annotations

from itertools import combinations

import msgspec
import numpy as np

from dpprof.analysis.observations import Finding
from dpprof.findings.change import Change
from dpprof.findings.replay import Lengths, Replay

_LOOKED_AT = 4
"""Overlaps are said of so many of the largest findings."""
_WORTH_SAYING = 0.1
"""A part of the smaller gain that is worth a word."""


def with_overlaps(
    replay: Replay, base: Lengths, timed: list[tuple[Finding, Change]]
) -> list[Finding]:
    """The findings, those whose gains do not add up saying with which, and by how much."""
    words: dict[int, list[str]] = {}
    for one, other in combinations(range(min(_LOOKED_AT, len(timed))), 2):
        (first, first_change), (second, second_change) = timed[one], timed[other]
        both = round(float((base - _without_both(replay, first_change, second_change)).mean()))
        shared = first.gain_ns + second.gain_ns - both
        if shared < -_WORTH_SAYING * second.gain_ns:
            said = f"together with {_name(first)} {both / 1e6:.2f} ms"
            words.setdefault(other, []).append(said)
        elif shared > _WORTH_SAYING * second.gain_ns:
            said = f"of that {shared / 1e6:.2f} ms is gained with {_name(first)} too"
            words.setdefault(other, []).append(said)
    return [
        msgspec.structs.replace(found, text="; ".join([found.text, *words.get(place, [])]))
        for place, (found, _) in enumerate(timed)
    ]


def _name(finding: Finding) -> str:
    rank = f" of rank {finding.ranks[0]}" if len(finding.ranks) == 1 else ""
    return f"{finding.what}{rank}"


def _without_both(replay: Replay, one: Change, other: Change) -> Lengths:
    """Steps with what either takes out of lengths and late starts taken out of both."""
    length = replay.length_ns.copy()
    late = replay.late_ns.copy()
    for change in (one, other):
        if change.length_ns is not None:
            length -= replay.length_ns - change.length_ns
        if change.late_ns is not None:
            late -= replay.late_ns - change.late_ns
    messages = [change.message for change in (one, other) if change.message is not None]
    message = min(messages, key=lambda cost: cost.duration_ns, default=None)
    return replay.step_ns(np.maximum(length, 0), np.maximum(late, 0), message)
