"""The figures of one card can come out badly: what an exchange costs the computing counts too."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
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
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(file.parent)  # as where a script runs
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wire():
    return load(ROOT / "tests" / "benchmarks" / "bench_gpu_wire.py")


class Timed:
    """A bench whose pair of 4 layers has 16 exchanges of 5 ms each; the pair takes `pair` ms."""

    config = replace(preset("tiny"), looped_ep=4)
    executor = SimpleNamespace(layers=4)

    def __init__(self, wire, *times, late=0):
        self._pairs = wire.Pairs(list(times), late, 7.0)

    def use(self, case):
        pass

    def run_pairs(self):
        return self._pairs

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
    figures = wire.measure(Timed(wire, pair, pair), wire.Case("paced"), {0: 100.0})
    assert figures["pair_over_stay"] == pytest.approx(over_stay)
    assert figures["effective_hidden"] == pytest.approx(hidden)
    assert figures["pair_over_apart"] == pytest.approx(gain)
    assert figures["wire"] == "emulated wire: 8 multiprocessors, 160 GB/s, no peer"


@pytest.mark.parametrize(
    ("times", "late", "words"),
    [
        ((100.0, 101.0), 1, "no work left as 1 of 2 pairs began"),
        ((60.0, 150.0), 0, "pairs scatter by 90.00 ms, their exchanges take 80.00"),
    ],
)
def test_pairs_that_do_not_say_how_fast_the_gpu_is_give_no_figure(wire, times, late, words):
    case = wire.Case("paced", 20, left=20)
    figures = wire.measure(Timed(wire, *times, late=late), case, {0: 90.0, 20: 100.0})
    assert words in figures["not_known"]
    assert {figures[name] for name in wire.RATIOS} == {None}
    assert figures["pair_ms"] > 0


def test_what_limits_cost_is_not_hidden(wire):
    """Products that leave multiprocessors take 10 ms longer, whatever is beside them."""
    case, stay = wire.Case("paced", 20, left=20), {0: 100.0, 20: 110.0}
    figures = wire.measure(Timed(wire, 110.0, 110.0), case, stay)
    assert figures["effective_hidden"] == 1
    assert figures["hidden_limits_paid"] == pytest.approx(1 - 10 / 80)


def test_nothing_is_held_against_a_pair_that_is_not_known(wire):
    results = {}
    late = Timed(wire, 100.0, 100.0, late=2)
    wire.tell_figures(late, wire.NAMES, {}, results.__setitem__)
    assert set(results) == set(wire.NAMES)
    assert all("effective_hidden" not in figures for figures in results.values())
    assert "were not measured" in results["profiler"]["not_known"]


@pytest.mark.parametrize("fate", ["hangs", "dies", "breaks CUDA"])
def test_a_case_that_goes_wrong_costs_no_other_its_figures(wire, monkeypatch, fate):
    bad, first, *_ = wire.NAMES[3], wire.NAMES[0]

    def work(options, layers, results, tell):
        for name in wire.NAMES:
            if name in results:
                continue
            if name == bad and fate == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            elif name == bad and fate == "hangs":
                time.sleep(600)
            tell(name, {"error": "an illegal access"} if name == bad else {"layers": layers})
            if name == bad:
                raise RuntimeError("an illegal access")

    monkeypatch.setattr(wire, "work", work)
    monkeypatch.setattr(wire, "PATIENCE", 0.5)
    options = SimpleNamespace(seconds=20, layers=8)
    results = wire.measure_all(options, lambda results: None)
    words = {"hangs": "hung", "dies": "SIGKILL", "breaks CUDA": "illegal"}
    assert words[fate] in results.pop(bad)["error"]
    untried = {name for name, one in results.items() if "not tried" in one.get("error", "")}
    later = {name for name in wire.NAMES[4:] if "paced" in name}
    assert untried == (later if fate == "hangs" else set())
    results = {name: one for name, one in results.items() if name not in untried}
    assert results == {name: {"layers": 8} for name in wire.NAMES if name not in {bad, *untried}}
    assert first in results


def test_too_little_memory_halves_the_layers(wire, monkeypatch):
    def work(options, layers, results, tell):
        for name in [wire.NO_MEMORY] if layers > 2 else wire.NAMES:
            tell(name, {"layers": layers})

    monkeypatch.setattr(wire, "work", work)
    results = wire.measure_all(SimpleNamespace(seconds=20, layers=8), lambda results: None)
    assert {one["layers"] for one in results.values()} == {2}


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
