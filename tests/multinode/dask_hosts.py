"""`dpprof analyze --executor dask` where scheduler, workers and dpprof are on hosts of their own.

``python tests/multinode/dask_hosts.py [NAME...]``, as root; see `network`. The scheduler is on host
0, workers on 1 and 2, dpprof on 3.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from network import Host, hosts, why_not

SAMPLE = Path(__file__).parents[2] / "traces" / "dualpipe"
HOSTS, SITE = 4, "dask"
SECONDS = 300.0
HOST_ROWS = 100_000
"""Added to each trace, so that reading it lasts."""


class Cluster:
    """Dask on hosts 0 to 2; has state while its processes run."""

    def __init__(self, nodes: Sequence[Host], place: Path) -> None:
        self.nodes, self.place = nodes, place
        self.scheduler = f"tcp://{nodes[0].address}:8786"
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._dask(0, "scheduler", "--host", nodes[0].address, "--no-dashboard")

    def work(self, number: int, *, before: Sequence[str] = ()) -> None:
        """Start a worker on a host; `before` comes in front of it."""
        words = (self.scheduler, "--nthreads", "1", "--no-dashboard")
        folder = ("--local-directory", str(self.place / f"dask{number}"))
        self._dask(number, "worker", *words, *folder, before=before)

    def _dask(self, number: int, *words: str, before: Sequence[str] = ()) -> None:
        command = [*before, sys.executable, "-m", "dask", *words]
        self.processes[number] = self.nodes[number].start(command, self._log(number))

    def _log(self, number: int) -> Path:
        return self.place / f"dask{number}.log"

    def wait_for(self, text: str, numbers: Sequence[int]) -> None:
        """Until each of these hosts has said `text`."""
        end = time.monotonic() + SECONDS
        while not all(text in self._log(one).read_text() for one in numbers):
            if time.monotonic() > end:
                raise RuntimeError(f"nobody says {text!r}: {self._log(numbers[-1]).read_text()}")
            time.sleep(0.2)

    def kill(self, number: int) -> None:
        """End what runs on a host, as a host that loses its power does."""
        process = self.processes.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def analyze(self, meanwhile: Callable[[], None] = lambda: None) -> tuple[int | None, str, Any]:
        """Exit code (None where it does not end), errors and report of the run on the cluster."""
        report, log = self.place / "report.json", self.place / "dpprof.log"
        report.unlink(missing_ok=True)
        process = self.nodes[3].start(
            [
                *(sys.executable, "-m", "dpprof", "analyze", self.place / "run", "-o", report),
                *("--executor", "dask", "--scheduler", self.scheduler),
            ],
            log,
            DPPROF_CACHE="off",
        )
        end = time.monotonic() + SECONDS
        while process.poll() is None and not self.nodes[3].connections():
            time.sleep(0.1)
        meanwhile()
        code = _code(process, end)
        return code, log.read_text(), json.loads(report.read_text()) if code == 0 else None


def _code(process: subprocess.Popen[bytes], end: float) -> int | None:
    try:
        return process.wait(max(1.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@contextmanager
def cluster(nodes: Sequence[Host], place: Path) -> Iterator[Cluster]:
    """A scheduler, gone afterwards with whatever was started on its hosts."""
    found = Cluster(nodes, place)
    try:
        found.wait_for("Scheduler at", [0])
        yield found
    finally:
        for number in list(found.processes):
            found.kill(number)


def write_run(place: Path) -> Any:
    """A copy of the sample whose traces take long to read; its report, read without Dask."""
    run = shutil.copytree(SAMPLE, place / "run")
    for file in run.glob("rank*.json.gz"):
        trace = json.loads(gzip.decompress(file.read_bytes()))
        at = trace["traceEvents"][0].get("ts", 0)
        row = {"ph": "X", "cat": "python_function", "name": "f", "pid": 1, "tid": 1, "dur": 0}
        trace["traceEvents"] += [row | {"ts": at} for _ in range(HOST_ROWS)]
        file.write_bytes(gzip.compress(json.dumps(trace).encode(), 1))
    words = [sys.executable, "-m", "dpprof", "analyze", run, "--format", "json"]
    said = subprocess.run(words, check=True, capture_output=True, env=os.environ | {"TERM": "dumb"})
    return json.loads(said.stdout)


def _differs(found: tuple[int | None, str, Any], wanted: Any) -> list[str]:
    code, said, report = found
    if code != 0:
        return [f"exit code {code}: {said[-600:]}"]
    return [] if report["ranks"] == wanted["ranks"] else ["other figures than without Dask"]


def sound(nodes: Sequence[Host], place: Path, wanted: Any) -> list[str]:
    """Two workers: the figures of one process."""
    with cluster(nodes, place) as dask:
        for number in (1, 2):
            dask.work(number)
        dask.wait_for("Registered to", (1, 2))
        return _differs(dask.analyze(), wanted)


def killed(nodes: Sequence[Host], place: Path, wanted: Any) -> list[str]:
    """The host of a worker dies while it reads: the other one reads its traces again."""
    with cluster(nodes, place) as dask:
        for number in (1, 2):
            dask.work(number)
        dask.wait_for("Registered to", (1, 2))
        return _differs(dask.analyze(lambda: dask.kill(1)), wanted)


def all_killed(nodes: Sequence[Host], place: Path, wanted: Any) -> list[str]:
    """The only worker dies: an error that says so, soon."""
    del wanted
    with cluster(nodes, place) as dask:
        dask.work(1)
        dask.wait_for("Registered to", [1])
        code, said, _ = dask.analyze(lambda: dask.kill(1))
        return [] if code == 2 and "no workers" in said else [f"exit code {code}: {said[-600:]}"]


def without_files(nodes: Sequence[Host], place: Path, wanted: Any) -> list[str]:
    """One worker does not have the traces: the error names a trace and the host that lacks it."""
    del wanted
    hidden = f'mount -t tmpfs tmpfs "{place}/run" && exec "$@"'
    with cluster(nodes, place) as dask:
        dask.work(1)
        dask.work(2, before=("unshare", "--mount", "sh", "-c", hidden, "sh"))
        dask.wait_for("Registered to", (1, 2))
        code, said, _ = dask.analyze()
        named = all(text in said for text in ("rank", nodes[2].name))
        return [] if code == 2 and named else [f"exit code {code}: {said[-600:]}"]


SCENARIOS = {one.__name__: one for one in (sound, killed, all_killed, without_files)}


def main() -> None:
    """Run the scenarios; exit code 1 where one goes wrong."""
    if reason := why_not():
        sys.exit(f"cannot: {reason}")
    failed = 0
    for name in sys.argv[1:] or SCENARIOS:
        place = Path(tempfile.mkdtemp(prefix="dask-hosts-"))
        begun = time.monotonic()
        try:
            wanted = write_run(place)
            with hosts(HOSTS, SITE) as nodes:
                wrong = SCENARIOS[name](nodes, place, wanted)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        failed += bool(wrong)
        print(
            f"{name}: {time.monotonic() - begun:.0f} s: {'; '.join(wrong) or 'right'}", flush=True
        )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
