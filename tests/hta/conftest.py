"""HTA itself, where it is installed, and the public traces."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import pytest

import dpprof

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def hta():
    """Skips without HTA; its many messages are of no use here."""
    found = pytest.importorskip("hta.trace_analysis", reason="HTA (dpprof[hta]) is not installed")
    logging.getLogger("hta").setLevel(logging.CRITICAL)
    return found


@cache
def load(name: str, *, whole_trace: bool = False) -> dpprof.LoadedRun:
    return dpprof.load(DATA / name, whole_trace=whole_trace)


@pytest.fixture(scope="session")
def public_run():
    """name -> the run of a public trace."""
    if not DATA.is_dir():
        pytest.skip("no public traces beside the repository (../shared/data)")
    return load
