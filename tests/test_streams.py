"""Streams that are closed or full, and machines that lack something: the exit code stays right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRACES = Path(__file__).parents[1] / "traces"
RUN = str(TRACES / "1f1b")
BIG = str(TRACES / "dualpipe")  # is read in several processes
DPPROF = f"{sys.executable} -m dpprof"


def shell(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


KEPT = f"gate {RUN} --fail-if 'bubble_share > 90%'"
BROKEN = f"gate {RUN} --fail-if 'bubble_share > 1%'"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{KEPT} 2>&-", 0),
        (f"{KEPT} 2>/dev/full", 0),
        (f"{BROKEN} 2>&-", 1),
        (f"{BROKEN} 2>/dev/full", 1),
        (f"{KEPT} >&-", 2),
        (f"{KEPT} >/dev/full", 2),
        (f"analyze {RUN} <&-", 0),
        (f"analyze {RUN} 2>&-", 0),
        (f"analyze {RUN} >&-", 2),
        (f"analyze {RUN} >/dev/full", 2),
        (f"analyze {RUN} --format json >/dev/full", 2),
        (f"analyze {RUN} <&- >&- 2>&-", 2),
        ("analyze no-such-run 2>&-", 2),
        ("--help >/dev/full", 2),
        (f"analyze {RUN} -o /dev/full", 2),
    ],
)
def test_closed_and_full_streams_change_no_exit_code(command: str, code: int) -> None:
    done = shell(f"{DPPROF} {command}")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("command", "code"), [(KEPT, 0), (BROKEN, 1)])
def test_a_reader_that_goes_leaves_the_verdict(command: str, code: int) -> None:
    done = shell(f"set -o pipefail; {DPPROF} {command} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("files", range(6, 27, 2))
def test_few_open_files_are_no_bug(files: int, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    script = f"ulimit -n {files}; exec {DPPROF} analyze {BIG} >{out} 2>{err}"
    done = shell(script, DPPROF_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode in (0, 2), err.read_text()
    assert done.returncode == 0 or "Too many open files; allow more" in err.read_text()
