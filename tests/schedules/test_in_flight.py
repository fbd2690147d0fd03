"""Chunks in flight: the published table, and counting by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dpprof.schedules.in_flight import PeakInFlight, in_flight, peak_in_flight
from dpprof.schedules.placements import two_directions
from dpprof.schedules.registry import make_schedule
from dpprof.schedules.schedule import Schedule


@pytest.mark.parametrize("pp", [4, 8, 16])
@pytest.mark.parametrize("rounds", [2, 3])
def test_the_published_peaks(pp: int, rounds: int) -> None:
    def totals(name: str) -> list[int]:
        return [peak.total for peak in peak_in_flight(make_schedule(name, pp, rounds * pp))]

    assert totals("1f1b") == list(range(pp, 0, -1))
    assert totals("zb1p") == [pp] * pp
    assert totals("dualpipe") == [pp + 1] * pp
    assert totals("dualpipev") == [2 * pp + 1] * pp
    assert totals("gpipe") == [rounds * pp] * pp


def test_a_pair_counts_the_forward_before_the_backward_is_released(
    written: Callable[..., Schedule],
) -> None:
    schedule = written(
        "F0.0 F1.0 F0.1&B1.0 I0.0 F1.1 W0.0 B0.1 B1.1",
        "",
        micro_batches=4,
        placement=two_directions(2),
    )
    assert list(in_flight(schedule, 0)) == [
        (1, 0),
        (1, 1),
        (2, 1),
        (2, 0),
        (2, 1),
        (2, 1),
        (1, 1),
        (0, 1),
    ]
    assert peak_in_flight(schedule) == (
        PeakInFlight(3, 2, (2, 1), (2, 1)),
        PeakInFlight(0, -1, (0, 0), (0, 0)),
    )
