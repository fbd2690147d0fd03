"""Whether a change is more than chance: the gate's test, on the parts of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dpprof.analysis.diff.model import Effect
from dpprof.analysis.diff.part_names import STEP_PART
from dpprof.statistics.difference import Sampling, difference
from dpprof.statistics.figure import Figure, figure_of

_Samples = Mapping[str, Sequence[float]]


def effects(base: _Samples, new: _Samples, sources: tuple[str, str]) -> dict[str, Effect]:
    """The change of each figure; each side gives a figure per step, two or more.

    `sources` are those of both runs; the samples hold those of the whole step, `STEP_PART`.
    """
    first, second = (_figures(samples) for samples in (base, new))
    samplings = [
        Sampling.of(source, [len(samples[STEP_PART])], figures[STEP_PART].typical)
        for source, samples, figures in zip(sources, (base, new), (first, second), strict=True)
    ]
    return {name: _effect(first[name], second[name], samplings) for name in first}


def _figures(samples: _Samples) -> dict[str, Figure]:
    return {name: figure_of([values], "ns") for name, values in samples.items()}


def _effect(base: Figure, new: Figure, samplings: Sequence[Sampling]) -> Effect:
    found = difference(new, samplings[1], base, samplings[0])
    low, high = found.interval or (found.change, found.change)
    return Effect(change_ns=found.change, low_ns=low, high_ns=high, significant=found.significant)
