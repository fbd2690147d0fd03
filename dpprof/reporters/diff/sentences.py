"""A diff in sentences: the answer first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import median

from dpprof.analysis.diff.model import BubbleCause, Bytes, Diff, DiffSide, Effect, Part, RankDiff
from dpprof.analysis.diff.part_names import BUBBLE, COMPUTING, EXPOSED
from dpprof.evidence.figures import touching
from dpprof.reporters.blocks.slow_slots import slow_words
from dpprof.reporters.blocks.units import TimeUnit, bytes_text, rate_text, time_unit
from dpprof.reporters.report.sentences import run_words, source_words
from dpprof.tables.devices import rank_name
from dpprof.tables.kinds import BUBBLE_COOLDOWN, BUBBLE_DEPENDENCY, BUBBLE_WARMUP, OVERLAP

_NAMED_SHARE = 0.1
"""Parts of the answer that change by less than this share of the largest change go unnamed."""


_DOUBTFUL = 0.005
"""Of the step: parts of a step without significant change that are worth a word."""
_STANDS_OUT = 3
"""How many times further than any other from the median a rank is that stands out."""
_NEARLY_ALL = 0.8
_MOST_SLOW = 3
_SMALLEST = 0.002
"""Of the step: what is smaller does not stand out."""


def unit_of_diff(diff: Diff) -> TimeUnit:
    """The unit of all times of a diff: that of the shorter step."""
    return time_unit(min(diff.base.step_ns, diff.new.step_ns))


def per_step(diff: Diff) -> int:
    """What times of the job are divided by for one step, mean of the ranks."""
    return diff.steps * diff.rank_count


def signed(unit: TimeUnit, time_ns: float) -> str:
    """A change without its unit; what rounds to nothing has no sign."""
    text = f"{time_ns / unit.nanoseconds:+.2f}"
    return "0.00" if float(text) == 0 else text


_NO_PEER = {
    "launch": "launch",
    "start_of_step": "start of the step",
    "end_of_step": "end of the step",
    "not_known": "not known",
}
"""What ends a bubble without anything that another rank does."""
_WAITING = (BUBBLE_WARMUP, BUBBLE_DEPENDENCY, BUBBLE_COOLDOWN)


def cause_words(cause: BubbleCause) -> str:
    """``F``, ``receiving F``, ``rank 2: F``, ``launch in F``, ``start of the step``."""
    if cause.kind in _NO_PEER:
        where = f" in {cause.operation}" if cause.operation else ""
        words = _NO_PEER[cause.kind] + where
    else:
        words = f"{'receiving ' if cause.kind == 'receiver' else ''}{cause.operation}"
    return words if cause.rank is None else f"{rank_name(cause.rank)}: {words}"


def part_words(part: Part, state: str) -> str:
    """A part of a state in words: of a bubble what was waited for."""
    if part.cause is None:
        return part.name
    waiting = state in _WAITING and part.cause.kind not in _NO_PEER
    return f"{'waiting for ' if waiting else ''}{cause_words(part.cause)}"


def side_names(diff: Diff) -> tuple[str, str]:
    """What the sides are called: by their names, or by their places where these are equal."""
    if diff.base.name == diff.new.name:
        return "BASE", "NEW"
    return diff.base.name, diff.new.name


def side_words(label: str, side: DiffSide) -> str:
    """One side in a line: what it is, how many steps, where it comes from."""
    steps = f"{side.steps} step{'s' * (side.steps != 1)}"
    return f"{label} {side.name}: {run_words(side)}; {steps}; {source_words(side)}"


def answer(diff: Diff) -> Iterator[str]:
    """By how much the step time changed, and what of; overlap, throughput, memory, odd ranks.

    Where evidence for the step time is missing on a side, nothing of all that is claimed.
    """
    unit, count = unit_of_diff(diff), per_step(diff)
    if lacking := _lacking(diff):
        yield lacking
        yield from _memory(diff)
        return
    yield _step(diff, unit)
    if causes := list(_causes(diff, unit, count)):
        yield f"made up of {', '.join(causes)}"
    if overlap := _overlap(diff, unit):
        yield overlap
    yield from _throughput(diff)
    yield from _memory(diff)
    yield from _ranks(diff, unit)
    yield from (slow_words(one) for one in diff.slow_slots[:_MOST_SLOW])


def _lacking(diff: Diff) -> str:
    """That the change of the step cannot be told, and of which side evidence is missing."""
    named = zip(("BASE", "NEW"), (diff.base, diff.new), strict=True)
    sides = [name for name, side in named if touching(side.evidence, "step_ns")]
    if not sides:
        return ""
    base, new = side_names(diff)
    return (
        f"whether {new} is faster or slower than {base} cannot be told: evidence for the step time "
        f"of {' and of '.join(sides)} is missing (above); the tables show what the traces hold"
    )


def _step(diff: Diff, unit: TimeUnit) -> str:
    base, new = side_names(diff)
    change = diff.time.change_ns / per_step(diff)
    times = f"{unit.text(diff.base.step_ns)} -> {unit.full(diff.new.step_ns)}"
    if not diff.time.change_ns:
        return f"{new} takes as long per step as {base}: {unit.full(diff.base.step_ns)}"
    way = "slower" if change > 0 else "faster"
    share = f" ({abs(change) / diff.base.step_ns:.1%})" if diff.base.step_ns else ""
    text = f"{new} is {unit.full(abs(change))}{share} {way} per step than {base}: {times}"
    return f"{text}; {_interval(diff.time.effect, unit, diff)}"


def _interval(effect: Effect | None, unit: TimeUnit, diff: Diff) -> str:
    if effect is None:
        return f"significance n/a, {diff.unknown_effects}"
    span = f"{interval_text(effect, unit)} {unit.name}"
    if effect.significant:
        return f"95 % interval {span}"
    return f"not significant (95 % interval {span})"


def interval_text(effect: Effect, unit: TimeUnit) -> str:
    """``-3.10 to +1.20``."""
    return f"{signed(unit, effect.low_ns)} to {signed(unit, effect.high_ns)}"


def _causes(diff: Diff, unit: TimeUnit, count: int) -> Iterator[str]:
    """The parts of the step, the largest change first, with what they are made of.

    Of a step that did not change significantly only what is large beside the step itself.
    """
    ordered = sorted(diff.time.parts, key=lambda part: -abs(part.change_ns))
    largest = abs(ordered[0].change_ns)
    doubtful = diff.time.effect is not None and not diff.time.effect.significant
    least = (_DOUBTFUL if doubtful else 0) * diff.time.base_ns
    for part in ordered:
        if not largest or abs(part.change_ns) < least:
            continue
        if abs(part.change_ns) >= _NAMED_SHARE * largest or part.name == COMPUTING:
            text = f"{part.name} {signed(unit, part.change_ns / count)} {unit.name}"
            inside = _inside(part, unit, count) if part.name in (EXPOSED, BUBBLE) else ""
            remarks = "; ".join(filter(None, (_doubt(part), inside)))
            yield f"{text} ({remarks})" if remarks else text


def _inside(part: Part, unit: TimeUnit, count: int) -> str:
    ordered = sorted(part.parts, key=lambda one: -abs(one.change_ns))
    named = [one for one in ordered if abs(one.change_ns) >= _NAMED_SHARE * abs(part.change_ns)]
    return ", ".join(
        f"{one.name.partition('.')[2]} {signed(unit, one.change_ns / count)}" for one in named[:4]
    )


def _doubt(part: Part) -> str:
    doubtful = part.effect is not None and not part.effect.significant and part.change_ns
    return "not significant" if doubtful else ""


def _overlap(diff: Diff, unit: TimeUnit) -> str:
    computing = next(part for part in diff.time.parts if part.name == COMPUTING)
    overlap = next(part for part in computing.parts if part.name == OVERLAP)
    change = overlap.change_ns / per_step(diff)
    least = max(
        _NAMED_SHARE * abs(diff.time.change_ns / per_step(diff)), _SMALLEST * diff.base.step_ns
    )
    if abs(change) < least:
        return ""
    way = "more" if change > 0 else "less"
    return f"computing hides {unit.full(abs(change))} {way} communication (overlap)"


def _throughput(diff: Diff) -> Iterator[str]:
    base, new = diff.base.tokens_per_second, diff.new.tokens_per_second
    if base and new:
        yield f"throughput x{new / base:.2f}: {rate_text(base)} -> {rate_text(new)} tokens/s"


def _memory(diff: Diff) -> Iterator[str]:
    memory = diff.memory
    if memory.base_bytes is None or memory.new_bytes is None:
        return
    change = memory.new_bytes - memory.base_bytes
    text = f"memory peak {bytes_text(memory.base_bytes)} -> {bytes_text(memory.new_bytes)}"
    parts = sorted(memory.parts, key=lambda part: -abs(part.change_bytes or 0))
    named = [
        f"{part.name} {signed_bytes(part.change_bytes)}{_main_cause(part)}"
        for part in parts
        if part.change_bytes and abs(part.change_bytes) >= _NAMED_SHARE * abs(change)
    ]
    if abs(change) < _SMALLEST * memory.base_bytes:
        yield f"memory peak unchanged: {bytes_text(memory.new_bytes)}"
    else:
        share = f" ({change / memory.base_bytes:+.1%})" if memory.base_bytes else ""
        yield f"{text}{share}: {', '.join(named)}"


def _main_cause(part: Bytes) -> str:
    """`` (size of each)`` where nearly all of the change is of one cause."""
    least = _NEARLY_ALL * abs(part.change_bytes or 0)
    causes = [one.name for one in part.parts if abs(one.change_bytes or 0) >= least]
    return f" ({causes[0]})" if len(causes) == 1 else ""


def signed_bytes(change: int | None) -> str:
    """A change in bytes with its sign and unit."""
    if not change:
        return bytes_text(None) if change is None else "0"
    return f"{'-' if change < 0 else '+'}{bytes_text(abs(change))}"


def busy_change(rank: RankDiff) -> int:
    """By how much longer a rank is busy: all but bubbles."""
    return sum(part.change_ns for part in rank.time.parts if part.name != BUBBLE)


def _computing_change(rank: RankDiff) -> int:
    return sum(part.change_ns for part in rank.time.parts if part.name == COMPUTING)


def _ranks(diff: Diff, unit: TimeUnit) -> Iterator[str]:
    """The rank that changed unlike all others, which wait for it: in its computing, else at all."""
    measures = (("computing", _computing_change), ("busy", busy_change))
    yield from islice((text for one in measures for text in _odd_rank(diff, unit, *one)), 1)


def _odd_rank(
    diff: Diff, unit: TimeUnit, what: str, change_of: Callable[[RankDiff], int]
) -> Iterator[str]:
    changes = {rank.new_rank: change_of(rank) / diff.steps for rank in diff.ranks}
    if len(changes) < 3:
        return
    middle = median(changes.values())
    odd, most = max(changes.items(), key=lambda item: abs(item[1] - middle))
    others = [change for rank, change in changes.items() if rank != odd]
    spread = max(abs(change - middle) for change in others)
    least = _NAMED_SHARE * abs(diff.time.change_ns / per_step(diff))
    if abs(most - middle) > max(_STANDS_OUT * spread, least, _SMALLEST * diff.base.step_ns):
        span = dict.fromkeys((signed(unit, min(others)), signed(unit, max(others))))
        yield (
            f"{rank_name(odd)} stands out: {what} {signed(unit, most)} {unit.name}, "
            f"the others {' to '.join(span)} {unit.name}"
        )


def differs_lines(diff: Diff) -> Sequence[str]:
    """What is not the same, one line each."""
    return [f"{one.what}: {one.base} -> {one.new}" for one in diff.differs]
