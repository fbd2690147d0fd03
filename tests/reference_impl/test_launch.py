"""A failing rank takes the others down, with its own error, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the reference implementation needs torch")

pytestmark = pytest.mark.slow

BREAK_RANK = """
    import os, signal, sys
    from dpprof.reference.launch import train as module
    from dpprof.reference.launch.train import train as real

    def broken(job, rank, rendezvous, report):
        def step(number):
            report(number)
            if rank == 1 and number == 1:
                {how}
        real(job, rank, rendezvous, step)

    module.train = broken
"""


def _heed_ctrl_c():
    """Whatever the parent of the tests does at SIGINT (nohup, some CI)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _profile(folder, how, *arguments):
    """Run `dpprof profile` with rank 1 broken in step 1; a module that ranks import breaks it."""
    (folder / "breaker.py").write_text(textwrap.dedent(BREAK_RANK).format(how=how))
    script = (
        "import dpprof.reference.launch.local_ranks as launch, dpprof.cli\n"
        "real = launch._rank_main\n"
        "import breaking\n"
        "launch._rank_main = breaking.rank_main\n"
        "dpprof.cli.main()\n"
    )
    (folder / "breaking.py").write_text(
        "def rank_main(*arguments):\n"
        "    import breaker\n"
        "    from dpprof.reference.launch.local_ranks import _rank_main\n"
        "    _rank_main(*arguments)\n"
    )
    command = [sys.executable, "-c", script, "profile", "--device", "emulated", "--schedule"]
    command += ["1f1b", "--pp", "2", "--micro-batches", "2", "--costs", "unit", *arguments]
    environment = os.environ | {"PYTHONPATH": f"{folder}:{Path.cwd()}"}
    return subprocess.Popen(
        [*command, "-o", str(folder / "out")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )


def _ranks_alive(folder, tries=200):
    """Processes that have not gone; each try takes a moment, which one that is killed may need."""
    for _ in range(tries):
        found = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True)
        if not found.stdout:
            break
    return found.stdout.split()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise RuntimeError('out of luck')", ["rank 1 failed", "out of luck"]),
        ("os.kill(os.getpid(), signal.SIGKILL)", ["rank 1 died", "SIGKILL"]),
    ],
)
def test_a_rank_that_dies_takes_the_others_down(tmp_path, how, words):
    process = _profile(tmp_path, how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert all(word in errors for word in words), errors
    assert not (tmp_path / "out" / "1f1b").exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupt_stops_every_rank_and_leaves_nothing(tmp_path):
    process = _profile(tmp_path, "pass", "--num-steps", "1000")
    line = process.stderr.readline()
    assert "profiling 1f1b" in line, line
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert list((tmp_path / "out").iterdir()) == []
    assert not _ranks_alive(tmp_path)


SLOW_IMPORT = """
import dpprof.reference.launch.local_ranks as launch, dpprof.cli
from multiprocessing import forkserver
real = launch.multiprocessing.get_context

class Slow:
    def __init__(self, method):
        self.real = real(method)
    def set_forkserver_preload(self, names):
        self.real.set_forkserver_preload([names[0], "endless", *names[1:]])
    def __getattr__(self, name):
        return getattr(self.real, name)

launch.multiprocessing.get_context = Slow
dpprof.cli.main()
"""


def test_an_interrupt_waits_for_no_import(tmp_path):
    """The process that imports torch for the ranks holds nothing of an interrupted launcher."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    endless = f"import threading\nopen({str(ready)!r}, 'w').close()\nthreading.Event().wait()\n"
    (tmp_path / "endless.py").write_text(endless)
    command = [sys.executable, "-c", SLOW_IMPORT, "profile", "--device", "emulated", "--schedule"]
    command += ["1f1b", "--pp", "2", "--micro-batches", "2", "--costs", "unit", "-o"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )
    ready.open().close()  # it imports now, and would go on for ever
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not _ranks_alive(tmp_path)


STUCK = {"stops": "os.kill(os.getpid(), signal.SIGSTOP)", "hangs": "import time; time.sleep(9999)"}


@pytest.fixture(scope="module")
def stuck(tmp_path_factory):
    """A job whose rank 1 stops, and one where it hangs: both wait for their time at once."""
    folders = {name: tmp_path_factory.mktemp(name) for name in STUCK}
    jobs = {
        name: _profile(folders[name], how, "--rank-timeout", "15") for name, how in STUCK.items()
    }
    errors = {name: job.communicate(timeout=120)[1] for name, job in jobs.items()}
    assert {job.returncode for job in jobs.values()} == {3}, errors
    assert not any(_ranks_alive(folder) for folder in folders.values())
    return folders, errors


def test_a_stopped_rank_is_named_and_all_are_ended(stuck):
    folders, errors = stuck
    assert "no rank has finished a step for 15 s" in errors["stops"]
    assert "rank 1 is stopped (SIGSTOP)" in errors["stops"]
    assert "rank 0 has finished" in errors["stops"]
    assert list((folders["stops"] / "out").iterdir()) == []


def test_a_rank_that_hangs_is_named_with_its_place(stuck):
    errors = stuck[1]["hangs"]
    assert "rank 1 hangs, most likely" in errors
    assert "breaker.py" in errors.split("rank 1 has finished")[1].splitlines()[1], errors


def test_a_disk_that_is_full_is_no_bug(tmp_path):
    how = "raise OSError(28, 'No space left on device', 'rank1.json.gz')"
    process = _profile(tmp_path, how)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "rank1.json.gz: cannot be written (No space left on device)" in errors
    assert "Traceback" not in errors
