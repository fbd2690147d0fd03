"""A few kills on every run of the tests; `kill_verbs.py` does as many as are asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kill_verbs import kill

pytestmark = pytest.mark.slow

if sys.platform != "linux":
    pytest.skip("processes are looked up in /proc", allow_module_level=True)


@pytest.mark.parametrize("name", ["analyze", "export", "gate --profile"])
def test_a_kill_leaves_nothing_wrong(name: str) -> None:
    assert kill(name, 2, seed=1).wrong == ()
