"""Greedy orders: the compiled core lays out what its twin does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.schedules import greedy
from dpprof.schedules.greedy import Policy, greedy_orders, greedy_orders_python
from dpprof.schedules.placements import one_stage, two_directions, two_waves

pytestmark = pytest.mark.skipif(greedy._compiled is None, reason="built without a C compiler")


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from([one_stage, two_directions, two_waves]),
    half=st.integers(1, 3),
    micro_batches=st.integers(1, 9),
    entered=st.integers(1, 6),
    more=st.integers(0, 3),
    split=st.booleans(),
)
def test_the_core_lays_out_what_its_twin_does(place, half, micro_batches, entered, more, split):
    placement = place(2 * half)
    held = entered * len(placement.streams) + more
    policy = Policy(entered, held, split)
    expected = greedy_orders_python(placement, micro_batches, policy)
    assert greedy_orders(placement, micro_batches, policy) == expected


def test_arrays_of_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="no greedy layout"):
        greedy._compiled.greedy(b"", b"", b"", bytearray())
