"""pith-train's NVTX ranges, as those of torch.distributed.pipelining.

Each process says its place once (``rank=3; pp=0/2 dp=0/1 cp=0/1 ep=3/4; mbs=1 seq=2048``), then
names the chunks that it runs: ``forward chunk 5 (phase0) backward chunk 2 (phase1)``. A backward
that leaves the gradients of the weights to a ``weight chunk`` is not named otherwise than a full
one; which they are, the order of its schedule tells, DualPipeV.
Source: mlc-ai/pith-train, ``pithtrain/dualpipe/dualpipev.py``, ``execution.py`` (July 2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Slot, slot_text
from dpprof.schedules.registry import make_schedule

_SETUP = re.compile(r"rank=(\d{1,6}); pp=(\d{1,4})/(\d{1,4}) dp=\d+/\d+ .*")
_CHUNK = re.compile(r"(forward|backward) chunk (\d{1,9}) \(phase([01])\)")
_CHUNKS = re.compile(rf"{_CHUNK.pattern}(?: {_CHUNK.pattern})?")
_WEIGHTS = "weight chunk"
_EXCHANGE = re.compile(r"layer\d+\.stage([24])_[fb]")
_EXCHANGES = {"2": "dispatch", "4": "combine"}
_FIRST = "F0.0"


@dataclass(frozen=True)
class Setup:
    """Where a process is: its rank in the job, and in a pipeline of `pp` ranks."""

    rank: int
    pp_rank: int
    pp: int


def setup_of(text: str) -> Setup | None:
    """The place that a range's text says; None for any other text."""
    match = _SETUP.fullmatch(text) if text.startswith("rank=") else None
    return None if match is None else Setup(*map(int, match.groups()))


def titles(texts: Sequence[str], setup: Setup) -> list[str]:
    """What the ranges of a process are called here; `texts` are theirs, by start."""
    slots = [_slot(text) for text in texts]
    found = [_with_exchange(text) for text in texts]
    for step in _steps(slots):
        for place, slot in zip(
            step, _as_scheduled([slots[one] for one in step], setup), strict=True
        ):
            if slot != "W":
                found[place] = _title(slot, setup)
    return found


def _slot(text: str) -> str:
    """``F0.5&B1.2``, ``W`` for weights, "" for any other range."""
    if text == _WEIGHTS:
        return "W"
    if _CHUNKS.fullmatch(text) is None:
        return ""
    parts = _CHUNK.findall(text)
    return "&".join(f"{way[0].upper()}{phase}.{chunk}" for way, chunk, phase in parts)


def _steps(slots: Sequence[str]) -> Iterator[list[int]]:
    """The places of each step's chunks: a step begins with the first forward."""
    step: list[int] = []
    for place, slot in enumerate(slots):
        if slot == _FIRST and step:
            yield step
            step = []
        if slot:
            step.append(place)
    if step:
        yield step


def _as_scheduled(slots: list[str], setup: Setup) -> list[str]:
    """The slots with the names of DualPipeV, where that is their order."""
    try:
        known = make_schedule("dualpipev", setup.pp, sum("F0." in slot for slot in slots))
    except DpprofError:
        return slots
    order = known.ranks[setup.pp_rank] if setup.pp_rank < setup.pp else ()
    return [*map(slot_text, order)] if [*map(_as_named, order)] == slots else slots


def _as_named(slot: Slot) -> str:
    text = slot_text(slot)
    return "W" if text[0] == "W" else text.replace("I", "B")


def _title(slot: str, setup: Setup) -> str:
    """``F1.3`` of the second of four ranks as ``PP:6F3``: the way back is numbered backwards."""
    stages = {"0": setup.pp_rank, "1": 2 * setup.pp - 1 - setup.pp_rank}
    parts = [f"{stages[one[1]]}{one[0]}{one[3:]}" for one in slot.split("&")]
    return f"PP:({';'.join(parts)})OVERLAP_F_B" if parts[1:] else f"PP:{parts[0]}"


def _with_exchange(text: str) -> str:
    """``layer03.stage2_f`` with a word for what it is, by which its communication is known."""
    match = _EXCHANGE.fullmatch(text)
    return text if match is None else f"{text} {_EXCHANGES[match[1]]}"
