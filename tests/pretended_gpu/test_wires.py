"""What carries the rows of a rank that stands for many takes what it says it takes."""

from __future__ import annotations

import json

import pytest

LOOPED = "looped_ep=4"


def rate(answer):
    """GB/s of one exchange."""
    return answer["bytes"] / answer["ms"] / 1e6


def test_rows_that_stay_take_nothing(gpu):
    answer = gpu.ask("wire", LOOPED, "wire=stay")
    assert answer["same"]
    assert answer["ms"] < 0.1
    assert "rows stay where they are" in answer["words"]


@pytest.mark.parametrize(("sms", "paced"), [(8, 160), (8, 50), (20, 160)])
def test_a_paced_wire_is_as_fast_as_it_says(gpu, sms, paced):
    sizes = (f"communication_sms={sms}", f"wire_rate={paced}")
    answer = gpu.ask("wire", LOOPED, "wire=paced", *sizes)
    assert rate(answer) == pytest.approx(paced, rel=0.1)
    words = f"emulated wire: {sms} multiprocessors, {paced} GB/s, no peer"
    assert answer["words"] == words


def test_copy_engines_move_every_byte_over_the_host(gpu):
    answer = gpu.ask("wire", LOOPED, "wire=engines", "micro_batch=4")
    assert not answer["same"]
    assert 30 < rate(answer) < 55  # out and back at 50 GB/s, chunk by chunk
    assert "PCIe loopback" in answer["words"]


@pytest.mark.parametrize("wire", ["stay", "paced", "engines", "self-copy"])
def test_every_byte_arrives_and_comes_back(gpu, wire):
    """The kernels' values are another test's (under Triton's interpreter); this is who calls them.

    With which addresses and sizes: the pretended libraries copy what is small.
    """
    answer = gpu.ask("moves", wire)
    assert answer["bytes"] > 10_000
    assert answer["there"]
    assert answer["back"]


SMALL = ("--model", "small", "--set", "dtype=bfloat16", "--set", "routing=balanced")
SMALL += ("--set", LOOPED, "--layers", "4", "--micro-batches", "4")


def bench(gpu, file, *options, **environment):
    """The figures of the benchmark of wires, each case by its name; whatever its exit code."""
    command = ("tests/benchmarks/bench_gpu_wire.py", "--json", str(file), *options)
    try:
        gpu.run(*command, PRETENDED_CLOCK="cpu", **environment)
    except AssertionError:
        assert "PRETENDED_BROKEN" in environment
    return json.loads(file.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "cases", "words"),
    [("nccl", "self-copy", "NCCL"), ("triton", "paced", "Triton")],
)
def test_what_an_image_lacks_costs_its_own_figures_alone(gpu, tmp_path, broken, cases, words):
    found = bench(gpu, tmp_path / "wire.json", *SMALL, PRETENDED_BROKEN=broken)
    errors = {name: one["error"] for name, one in found.items() if "error" in one}
    assert errors
    assert all(f"wire='{cases}'" in name for name in errors)
    assert all(words in error for error in errors.values())
    assert len(found) == 15  # the device, 13 cases and the profiler


@pytest.mark.slow
def test_exchanges_that_take_multiprocessors_away_hide_less(gpu, tmp_path):
    """The model of contention: figures that are 100 % without it can be anything."""
    sizes = ("--layers", "4", "--micro-batches", "4")
    found = bench(gpu, tmp_path / "wire.json", *sizes, PRETENDED_CONTENTION="1")
    hidden = {
        (one["wire"].split(";")[0], "left=0" not in name): one["effective_hidden"]
        for name, one in found.items()
        if one.get("effective_hidden") is not None
    }
    paced = "emulated wire: {} multiprocessors, 160 GB/s, no peer"
    assert hidden[paced.format(20), False] < 0.6
    assert hidden[paced.format(20), True] > 0.9
    assert hidden[paced.format(8), False] < 0.6
    limited = next(
        one for name, one in found.items() if "paced', sms=20" in name and "=20)" in name
    )
    assert limited["hidden_limits_paid"] < limited["effective_hidden"] - 0.1
    assert next(one for key, one in hidden.items() if "engines" in key[0]) > 0.9
