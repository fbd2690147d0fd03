"""What a diff takes beside the two reports it starts from, and how much of a big run it holds.

Usage: ``python tests/benchmarks/bench_diff.py [--ranks 64] [--events 100000]`` writes tables of
made-up ranks to a cache, then reports on the run twice and compares it with itself, each in a
process of its own; memory is the largest of any one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench_scale import write_rank

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.report.analyze import analyze
from dpprof.runs.workers import map_forked
from dpprof.trace.load import load_run


def reports(folder: Path) -> None:
    """Both sides' reports."""
    for _ in range(2):
        analyze(load_run(folder))


def compared(folder: Path) -> None:
    """The diff of a run with itself, which is made twice."""
    diff = diff_runs(load_run(folder), load_run(folder))
    assert diff.time.change_ns == 0


WHAT = {"reports": reports, "diff": compared}


def measure(what: str, folder: Path) -> None:
    """Do it; print seconds and gigabytes."""
    start = time.perf_counter()
    WHAT[what](folder)
    seconds = time.perf_counter() - start
    most = (
        resource.getrusage(who).ru_maxrss / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(seconds, *most)


def apart(what: str, folder: Path) -> tuple[float, float]:
    """Seconds and the gigabytes of the largest process."""
    command = [sys.executable, __file__, what, str(folder)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, own, child = map(float, text.split())
    return seconds, max(own, child)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", default="all", choices=["all", *WHAT])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--events", type=int, default=100_000)
    given = parser.parse_args()
    if given.what != "all":
        measure(given.what, given.folder)
        return
    with tempfile.TemporaryDirectory() as base:
        os.environ["DPPROF_CACHE_DIR"] = f"{base}/cache"
        folder = Path(base) / "run"
        folder.mkdir()
        list(map_forked(partial(write_rank, folder, given.ranks, given.events), range(given.ranks)))
        found = {what: apart(what, folder) for what in WHAT}
    print(f"{given.ranks} ranks of {given.events} activities a side")
    for what, (seconds, gigabytes) in found.items():
        print(f"{what:8} {seconds:7.1f} s, largest process {gigabytes:.2f} GB")
    ratio = found["diff"][0] / found["reports"][0]
    print(f"the diff takes x{ratio:.2f} the time of both reports")


if __name__ == "__main__":
    main()
