"""Our own kernels compile for Hopper and Blackwell, within their budgets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MOST_REGISTERS = 64
"""A block of 1024 threads has 65,536 registers."""


@pytest.mark.parametrize("capability", [90, 100])
def test_copies_fill_a_link_and_spill_nothing(gpu, capability):
    found = json.loads(gpu.run(str(HERE / "compile_kernels.py"), str(capability)))
    assert set(found) == {"_copy_kernel", "_paced_copy"}
    for name, said in found.items():
        assert said["registers"] <= MOST_REGISTERS, name
        assert said["spilled"] == 0, name
        assert said["in_flight"] == 64 * 1024, name  # on each multiprocessor
