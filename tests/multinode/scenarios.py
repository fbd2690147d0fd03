"""`dpprof profile` and `dpprof run` under torchrun across four hosts, sound and otherwise.

``python tests/multinode/scenarios.py [NAME...]``, as root; see `network`. Each host is a network
namespace with an address of its own; clocks differ by shifting the traces of each.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from network import Host, hosts, why_not

HOSTS = 4
SECONDS = 400.0
ENDS_WITHIN_SECONDS = 300.0
RANK_TIMEOUT_SECONDS = 60
"""Shorter ones, on a machine with much to do, end sound ranks that only start late."""
CLOCKS_MS = (0, 3, -40, 250)
MESSAGE_NS = 2_000_000
PROFILE = (
    *("-m", "dpprof", "profile", "--schedule", "1f1b", "--micro-batches", "8"),
    *("--device", "emulated", "--rank-timeout", str(RANK_TIMEOUT_SECONDS)),
)
TRAINING = """
import os
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
dist.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(256, 256))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(8):
    model(torch.ones(4, 256)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
dist.destroy_process_group()
"""


class Job:
    """A torchrun on every host; has state while they run."""

    def __init__(self, nodes: Sequence[Host], place: Path) -> None:
        self.nodes, self.place = nodes, place
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, words: Callable[[Host], Sequence[str]], before: Sequence[str] = ()) -> None:
        """Start torchrun with one rank on each host; `before` comes in front of it."""
        for host in self.nodes:
            torchrun = [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", str(HOSTS)),
                *("--nproc-per-node", "1", "--node-rank", str(host.number)),
                *("--master-addr", self.nodes[0].address, "--master-port", "29500"),
            ]
            scratch = self.place / f"tmp{host.number}"
            scratch.mkdir(exist_ok=True)
            command = [one.replace("HOST", str(host.number)) for one in before]
            self.started.append(
                host.start(
                    [*command, *torchrun, *words(host)],
                    self.log(host),
                    TMPDIR=str(scratch),
                    OMP_NUM_THREADS="1",
                )
            )

    def log(self, host: Host) -> Path:
        """What a host has said."""
        return self.place / f"host{host.number}.log"

    def text(self) -> str:
        """What all hosts have said."""
        return "\n".join(self.log(host).read_text(errors="replace") for host in self.nodes)

    def codes(self, seconds: float = SECONDS) -> list[int | None]:
        """The exit codes; None for a host that has not ended within the time, and is ended."""
        deadline = time.monotonic() + seconds
        found: list[int | None] = []
        for process in self.started:
            try:
                found.append(process.wait(max(0.1, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                found.append(None)
        return found

    def connected(self) -> None:
        """Wait until the ranks talk to one another."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.nodes[-1].connections() < 3:
            time.sleep(0.2)
        time.sleep(6)


def report_of(run: str) -> dict[str, Any]:
    """What `dpprof analyze` says of a run."""
    words = [sys.executable, "-m", "dpprof", "analyze", run, "--format", "json"]
    found: dict[str, Any] = json.loads(
        subprocess.run(words, check=True, capture_output=True).stdout
    )
    return found


def shift(run: Path) -> None:
    """Set the clock of each host off by its own number of milliseconds."""
    for rank, milliseconds in enumerate(CLOCKS_MS):
        file = run / f"rank{rank}.json.gz"
        trace = json.loads(gzip.decompress(file.read_bytes()))
        trace["baseTimeNanoseconds"] = trace.get("baseTimeNanoseconds", 0) + milliseconds * 10**6
        file.write_bytes(gzip.compress(json.dumps(trace).encode()))


def left_behind(place: Path) -> list[str]:
    """Half files, and processes that go on."""
    half = [str(path) for path in place.rglob(".dpprof-*.partial")]
    half += [str(path) for path in place.glob("tmp*/dpprof-*")]
    words = ["pgrep", "-f", str(place)]
    alive = subprocess.run(words, capture_output=True, check=False, text=True).stdout.split()
    return half + [f"process {one}" for one in alive]


def sound(nodes: Sequence[Host], place: Path) -> list[str]:
    """A shared folder: one run, nothing to warn of; with clocks that differ, right or said."""
    job = Job(nodes, place)
    job.start(lambda _: (*PROFILE, "--num-steps", "3", "--warmup", "1", "-o", f"{place}/runs"))
    codes = job.codes()
    if codes != [0] * HOSTS:
        return [f"exit codes {codes}: {job.text()[-2000:]}"]
    wrong = []
    before = report_of(f"{place}/runs/1f1b")
    if [one["rank"] for one in before["ranks"]] != list(range(HOSTS)) or before["warnings"]:
        wrong.append(f"ranks are missing, or warned of: {before['warnings']}")
    shift(place / "runs" / "1f1b")
    after = report_of(f"{place}/runs/1f1b")
    pairs = zip(before["ranks"], after["ranks"], strict=True)
    same = all(abs(one["exposed_ns"] - other["exposed_ns"]) < MESSAGE_NS for one, other in pairs)
    if not same and not any(
        "not matched with those of their peers" in w for w in after["warnings"]
    ):
        wrong.append(f"clocks are off, and nobody says so: {after['warnings']}")
    return wrong


def slow(nodes: Sequence[Host], place: Path) -> list[str]:
    """Host 2 sends through a slow link: its messages are what takes longest."""
    how = nodes[2].slow_down(40, 2000)
    job = Job(nodes, place)
    job.start(lambda _: (*PROFILE, "--num-steps", "3", "--warmup", "1", "-o", f"{place}/runs"))
    codes = job.codes()
    if codes != [0] * HOSTS:
        return [f"{how}: exit codes {codes}: {job.text()[-2000:]}"]
    report = report_of(f"{place}/runs/1f1b")
    said = json.dumps(report["findings"]) + json.dumps(report["warnings"])
    exposed = [one["exposed_ns"] for one in report["ranks"]]
    print(f"  {how}: exposed {[round(one / 1e6) for one in exposed]} ms; {said[:1500]}")
    return [] if max(exposed) > 0 else ["nothing is exposed"]


def cut(nodes: Sequence[Host], place: Path) -> list[str]:
    """Host 3 is cut off in the middle: everybody ends, says where it was, and leaves nothing."""
    job = Job(nodes, place)
    job.start(lambda _: (*PROFILE, "--num-steps", "500", "--warmup", "1", "-o", f"{place}/runs"))
    job.connected()
    nodes[3].cut_off()
    codes = job.codes(ENDS_WITHIN_SECONDS)
    wrong = [f"exit codes {codes}"] if None in codes or 0 in codes else []
    text = job.text()
    if "finished no step for" not in text:
        wrong.append(f"nobody says that it waited too long: {text[-1500:]}")
    return wrong + left_behind(place)


def full(nodes: Sequence[Host], place: Path) -> list[str]:
    """The disk of host 1 is full: an error that says so, nobody waits, no half file."""
    small = place / "runs1"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=True)
    try:
        job = Job(nodes, place)
        job.start(
            lambda host: (
                *PROFILE,
                *("--num-steps", "3", "--warmup", "1", "-o", f"{place}/runs{host.number}"),
            )
        )
        codes = job.codes(ENDS_WITHIN_SECONDS)
        wrong = [f"exit codes {codes}"] if None in codes or 0 in codes else []
        if "bug in dpprof" in job.text():
            wrong.append(f"a bug: {job.text()[-1500:]}")
        if "No space left" not in job.text():
            wrong.append(f"nobody says that the disk is full: {job.text()[-1500:]}")
        if not all("no trace of rank 1 on dpp1" in job.log(nodes[at]).read_text() for at in (0, 2)):
            wrong.append(f"the others do not say whose trace is missing: {job.text()[-1500:]}")
        return wrong + left_behind(place)
    finally:
        subprocess.run(["umount", small], check=True)


def unshared(nodes: Sequence[Host], place: Path) -> list[str]:
    """Each host has a disk of its own: traces are named where they are, and read together."""
    job = Job(nodes, place)
    job.start(
        lambda host: (
            *PROFILE,
            *("--num-steps", "3", "--warmup", "1", "-o", f"{place}/runs{host.number}"),
        )
    )
    codes = job.codes()
    wrong = [f"exit codes {codes}: {job.text()[-1500:]}"] if codes != [0] * HOSTS else []
    pattern = f"{place}/runs*/1f1b/rank*.json.gz"
    print("  ", sorted(str(path.relative_to(place)) for path in place.glob("runs*/**/*.json*")))
    if not wrong and len(report_of(pattern)["ranks"]) != HOSTS:
        wrong.append("the traces do not make one run")
    return wrong


def anybody(nodes: Sequence[Host], place: Path) -> list[str]:
    """`dpprof run` on each host with a shared folder: one run of all ranks."""
    script = place / "train.py"
    script.write_text(TRAINING)
    job = Job(nodes, place)
    dpprof = (sys.executable, "-m", "dpprof", "run", "--num-steps", "3", "--warmup", "1")
    job.start(lambda _: (str(script),), (*dpprof, "-o", f"{place}/trainedHOST", "--"))
    codes = job.codes()
    if codes != [0] * HOSTS:
        return [f"exit codes {codes}: {job.text()[-2000:]}"]
    found = sorted(str(path.relative_to(place)) for path in place.glob("trained*/*"))
    print("  ", found)
    traces = sorted(place.glob("trained*/rank*.json.gz"))
    if len(traces) != HOSTS:
        return [f"traces {found}"]
    ranks = [one["rank"] for one in report_of(f"{place}/trained*/rank*.json.gz")["ranks"]]
    return [] if ranks == list(range(HOSTS)) else [f"ranks {ranks}"]


SCENARIOS = {one.__name__: one for one in (sound, slow, cut, full, unshared, anybody)}


def main() -> None:
    """Run the scenarios; exit code 1 where one goes wrong."""
    reason = why_not()
    if reason:
        sys.exit(f"cannot: {reason}")
    failed = 0
    for name in sys.argv[1:] or SCENARIOS:
        place = Path(tempfile.mkdtemp(prefix="multinode-"))
        begun = time.monotonic()
        try:
            with hosts(HOSTS) as nodes:
                wrong = SCENARIOS[name](nodes, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        failed += bool(wrong)
        print(
            f"{name}: {time.monotonic() - begun:.0f} s: {'; '.join(wrong) or 'right'}", flush=True
        )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
