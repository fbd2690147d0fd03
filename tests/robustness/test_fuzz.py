"""A few mutated inputs per reader on every run of the tests; `fuzz_readers.py` does thousands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_callbacks
from fuzz_readers import fuzz, readers

READERS = readers()


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_input_is_read_or_refused_soon(name: str) -> None:
    found = fuzz(READERS[name], 60, seed=1)
    assert found.refused > 0 or "trace" in name  # most mutations of a trace leave it readable
    assert found.slowest_seconds < 20


def test_a_callback_is_answered_or_refused() -> None:
    found = fuzz_callbacks.fuzz(60, seed=1)
    assert found[200] + found[204] > 5
    assert found[400] > 5
