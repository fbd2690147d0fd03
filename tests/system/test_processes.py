"""Nothing that dpprof starts outlives it, however it ends."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("processes are looked up in /proc", allow_module_level=True)

TRACES = Path(__file__).parents[2] / "traces"
SECONDS = 30.0


@pytest.fixture(scope="module")
def big_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is read in several processes, which take their time."""
    folder = tmp_path_factory.mktemp("big") / "run"
    folder.mkdir()
    shutil.copy(TRACES / "dualpipe" / "run.json", folder)
    for rank in range(4):
        data = gzip.decompress((TRACES / "dualpipe" / f"rank{rank}.json.gz").read_bytes())
        (folder / f"rank{rank}.json").write_bytes(data + b" " * 100_000_000)
    return folder


def children(pid: int) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                parent = (process / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            found += [int(process.name)] if int(parent) == pid else []
    return found


def lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return true()


def start(arguments: list[str], tmp_path: Path) -> subprocess.Popen[bytes]:
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "dpprof", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"DPPROF_CACHE_DIR": str(tmp_path / "c"), "TMPDIR": str(temporary)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_readers_end_with_a_killed_dpprof(big_run: Path, tmp_path: Path, number: int) -> None:
    process = start(["analyze", str(big_run)], tmp_path)
    assert until(lambda: len(children(process.pid)) >= 2 or process.poll() is not None)
    readers = children(process.pid)
    if len(readers) < 2:
        pytest.skip("read in one process: there is one core")
    process.send_signal(number)
    assert process.wait(SECONDS) == (-number if number == signal.SIGKILL else 130)
    assert until(lambda: not any(map(lives, readers)))


COMMAND = (
    "import subprocess, sys, time; p = subprocess.Popen(['sleep', '98765']); time.sleep(98765)"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_profiled_command_ends_with_a_killed_gate(tmp_path: Path, number: int) -> None:
    command = f'{sys.executable} -c "{COMMAND}" {{out}}'
    process = start(["gate", "--profile", command, "--fail-if", "ranks == 4"], tmp_path)

    def started() -> list[int]:
        below = [child for one in children(process.pid) for child in (one, *children(one))]
        return below if len(below) >= 3 else []  # the command, its child, and the keeper

    assert until(lambda: bool(started()) or process.poll() is not None)
    below = started()
    assert below
    assert list((tmp_path / "temporary").iterdir())
    process.send_signal(number)
    process.wait(SECONDS)
    assert until(lambda: not any(map(lives, below)))
    again = start(["gate", "--profile", "false {out}", "--fail-if", "ranks == 4"], tmp_path)
    assert again.wait(SECONDS) == 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_where_no_processes_can_be_had_one_reads(
    big_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ProcessPoolExecutor

    from dpprof.trace.load import load_run

    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")  # as where /dev/shm is read-only

    monkeypatch.setenv("DPPROF_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(ProcessPoolExecutor, "__init__", refuse)
    assert len(load_run(big_run).places) == 4
