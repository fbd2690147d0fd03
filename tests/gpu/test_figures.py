"""The figures of one card can come out badly: what an exchange costs the computing counts too."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="the reference implementation needs torch")

from dpprof.reference.model.presets import preset, with_sizes

ROOT = Path(__file__).parents[2]


def load(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wire():
    return load(ROOT / "tests" / "benchmarks" / "bench_gpu_wire.py")


class Timed:
    """A bench whose pair of 4 layers has 16 exchanges of 5 ms each; the pair takes `pair` ms."""

    config = replace(preset("tiny"), looped_ep=4)
    executor = SimpleNamespace(layers=4)

    def __init__(self, pair):
        self._pair = pair

    def use(self, case):
        pass

    def pair_ms(self):
        return self._pair, 7.0

    def alone_ms(self):
        return 5.0

    def apart_ms(self):
        return 180.0


@pytest.mark.parametrize(
    ("pair", "over_stay", "hidden", "gain"),
    [
        (100.0, 1.0, 1.0, 100 / 180),  # nothing is seen of the exchanges
        (140.0, 1.4, 0.5, 140 / 180),
        (180.0, 1.8, 0.0, 1.0),  # all of them, though their kernels ran beside others
        (220.0, 2.2, -0.5, 220 / 180),  # they slow down what they run beside: worse than apart
    ],
)
def test_a_pair_is_held_against_one_without_exchanges(wire, pair, over_stay, hidden, gain):
    figures = wire.measure(Timed(pair), wire.Case("paced"), 100.0)
    assert figures["pair_over_stay"] == pytest.approx(over_stay)
    assert figures["effective_hidden"] == pytest.approx(hidden)
    assert figures["pair_over_apart"] == pytest.approx(gain)
    assert figures["wire"] == "emulated wire: 8 multiprocessors, 160 GB/s, no peer"


def test_each_limit_is_held_against_its_own_pair(wire):
    """Products that leave 20 multiprocessors are slower with no exchange, too."""
    at = {case: number for number, case in enumerate(wire.CASES)}
    for case in wire.CASES:
        assert at[wire.Case("stay", left=case.left)] <= at[case]


def test_other_losses_are_said(wire):
    same = {"a": {"loss": 7.0}, "b": {"loss": 7.0}}
    assert wire.verdicts(same)[-1] == "losses: equal"
    assert "8.0" in wire.verdicts(same | {"c": {"loss": 8.0}})[-1]
    assert "nothing was computed" in wire.verdicts({"a": {"loss": 0.0}})[-1]


def test_the_sample_of_one_card_has_exchanges_and_enough_to_do():
    """A rank that stands for itself alone sends nothing; one sequence leaves the host behind."""
    pairs = load(ROOT / "traces" / "make.py").PAIRS
    sizes = [pairs[at + 1] for at, option in enumerate(pairs) if option == "--set"]
    config = with_sizes(preset(pairs[pairs.index("--model") + 1]), sizes)
    assert config.looped_ep > 1
    assert config.micro_batch * config.sequence >= 4 * preset("medium").sequence
