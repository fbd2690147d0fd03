"""Shares the layers of a model among stages so that the fullest stage has the least to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from dpprof.costs.profile import CostProfile
from dpprof.costs.stages import model_layers, stage_chunks
from dpprof.errors import DpprofError
from dpprof.simulate.timing import slot_template


def layer_times(profile: CostProfile, layers: int) -> list[int]:
    """Nanoseconds of a forward and a backward of each layer alone."""
    chunks = stage_chunks(profile, layers, None if profile.model else 1)
    kinds: dict[int, int] = {}
    times = []
    for (layer,) in chunks:
        if id(layer) not in kinds:
            kinds[id(layer)] = sum(
                template.length_ns
                for operation in ("F", "B")
                if (template := slot_template(profile, operation, (layer,))) is not None
            )
        times.append(kinds[id(layer)])
    return times


def balanced(times: Sequence[int], stages: int) -> tuple[int, ...]:
    """How many layers each stage gets; the longest stage is as short as any cut can have it.

    Of such cuts the one whose stages differ least (sum of squares). Raises `DpprofError` where
    there are fewer layers than stages. Dynamic programming over the ends of stages.
    """
    if len(times) < stages:
        raise DpprofError(f"{len(times)} layers cannot be shared among {stages} stages")
    ends = [0, *accumulate(times)]
    longest = _least_longest(ends, stages)
    infinite = float("inf")
    best: list[float] = [0.0, *[infinite] * len(times)]
    choices: list[list[int]] = []
    for _ in range(stages):
        row, choice = [infinite] * len(ends), [0] * len(ends)
        for end in range(1, len(ends)):
            for start in range(end - 1, -1, -1):
                length = ends[end] - ends[start]
                if length > longest and start < end - 1:
                    break
                if best[start] + length * length < row[end]:
                    row[end], choice[end] = best[start] + length * length, start
        best = row
        choices.append(choice)
    return tuple(_walked_back(choices, len(times)))


def balanced_cut(profile: CostProfile, stages: int) -> tuple[int, ...]:
    """`balanced` for the layers that a profile lists."""
    return balanced(layer_times(profile, model_layers(profile, stages)), stages)


def _walked_back(choices: list[list[int]], end: int) -> list[int]:
    counts = []
    for choice in reversed(choices):
        counts.append(end - choice[end])
        end = choice[end]
    return counts[::-1]


def _least_longest(ends: Sequence[int], stages: int) -> int:
    """The least length of the longest of `stages` pieces, by bisection."""
    low, high = 0, ends[-1]
    while low < high:
        middle = (low + high) // 2
        if _pieces(ends, middle) <= stages:
            high = middle
        else:
            low = middle + 1
    return low


def _pieces(ends: Sequence[int], longest: int) -> float:
    """How few pieces no longer than `longest` there can be; infinite where a layer is longer."""
    count, start = 0, 0
    while start < len(ends) - 1:
        end = start
        while end + 1 < len(ends) and ends[end + 1] - ends[start] <= longest:
            end += 1
        if end == start:
            return float("inf")
        count, start = count + 1, end
    return count


def neighbours(cut: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Cuts in which one layer went from a stage to one beside it."""
    for stage in range(len(cut) - 1):
        for give, take in ((stage, stage + 1), (stage + 1, stage)):
            if cut[give] > 1:
                other = list(cut)
                other[give] -= 1
                other[take] += 1
                yield tuple(other)
