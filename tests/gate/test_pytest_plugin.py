"""The fixture for gating from a test, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRACES = Path(__file__).parents[2] / "traces"

TESTS = f"""
RUN = {str(TRACES / "dualpipe")!r}

def test_kept(dpprof_gate):
    result = dpprof_gate(RUN, ["bubble_share > 50%", "ranks == 4"], baseline=RUN)
    assert result.passed and result.baseline == RUN

def test_broken(dpprof_gate):
    dpprof_gate(RUN, "bubble_share > 1%")

def test_wrong(dpprof_gate):
    dpprof_gate(RUN, "bubbl_share > 1%")

def test_loaded(dpprof_gate):
    import dpprof
    assert dpprof_gate(dpprof.load(RUN), baseline=RUN).passed
"""


def test_the_fixture_passes_and_fails_tests(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:dash", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "2 failed, 2 passed" in done.stdout
    assert "FAILED dualpipe (EMULATED): 1 of 1 limit broken: bubble_share is" in done.stdout
    assert "DpprofError: rule, column 1: unknown metric 'bubbl_share'" in done.stdout
    assert "_gate_or_fail" not in done.stdout.partition("test_wrong")[0]
