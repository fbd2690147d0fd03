"""What carries the rows of a rank that stands for many takes what it says it takes."""

from __future__ import annotations

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
