"""Kills verbs at random moments: no orphan, no half file, and the next command works.

``python tests/robustness/kill_verbs.py [KILLS [SEED [VERB]...]]`` gives the counts per verb. After
every fifth kill the verb runs to its end, and what earlier kills have left must be gone then.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TRACES = Path(__file__).parents[2] / "traces"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SECONDS = 40.0
PATIENCE_SECONDS = 600.0
"""A machine with much to do lets what is nice wait for minutes."""
NEXT_EVERY = 5
MARK = "KILL_TEST_PLACE"

PROFILE = (
    "dpprof profile --schedule 1f1b --pp 2 --micro-batches 4 --device emulated --costs unit "
    "--num-steps 2 --warmup 1 -o {out}"
)
TRAINING = """
import torch
model = torch.nn.Linear(8, 8)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for _ in range(8):
    model(torch.ones(4, 8)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
"""
RUN = ("run", "-o", "OUT/trained", "--num-steps", "2", "--warmup", "1", "--quiet", "--")
VERBS: dict[str, tuple[str, ...]] = {
    "analyze": ("analyze", "RUN", "-o", "OUT/report.json", "--force"),
    "diff": ("diff", "RUN", "RUN", "-o", "OUT/diff.json", "--force"),
    "export": ("export", "RUN", "--to", "perfetto", "-o", "OUT/trace.json.gz", "--force"),
    "tables": ("export", "RUN", "--to", "csv", "-o", "OUT/tables", "--force"),
    "gate": ("gate", "RUN", "--fail-if", "bubble_share > 99%", "-o", "OUT/gate.json", "--force"),
    "gate --profile": ("gate", "--profile", PROFILE, "--fail-if", "bubble_share > 99%"),
    "profile": (*PROFILE.replace("{out}", "OUT/runs").split()[1:], "--force"),
    "run": (*RUN, sys.executable, "-c", TRAINING),
    "dashboard": ("dashboard", "RUN", "--port", "0", "--no-browser"),
}


class Kills(NamedTuple):
    """What came of the kills of a verb: how many hit it alive, and what was wrong after."""

    kills: int
    alive: int
    wrong: tuple[str, ...]


def kill(name: str, count: int, seed: int) -> Kills:
    """Kill a verb `count` times, each at another moment of its life; then let it run to its end."""
    chance = random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for one in ("out", "tmp", "cache"):
            (place / one).mkdir()
        run = shutil.copytree(TRACES / "dualpipe", place / "run")
        words = [word.replace("OUT", str(place / "out")) for word in VERBS[name]]
        command = [sys.executable, "-m", "dpprof", *(str(run) if w == "RUN" else w for w in words)]
        whole = _whole_seconds(command, place, endless=name == "dashboard")
        alive, wrong = 0, []
        for nth in range(count):
            number = chance.choice(SIGNALS)
            process = _start(command, place)
            time.sleep(chance.random() * whole)
            alive += process.poll() is None
            process.send_signal(number)
            process.wait(PATIENCE_SECONDS)
            orphans = _orphans(place)
            wrong += [f"{number.name}: {orphans} live on"] if orphans else []
            print(f"{name}: {nth + 1}, {number.name}", file=sys.stderr, flush=True)
            if nth % NEXT_EVERY == NEXT_EVERY - 1 or nth == count - 1:
                wrong += _next(command, place, endless=name == "dashboard")
    return Kills(count, alive, tuple(wrong))


def _next(command: list[str], place: Path, *, endless: bool) -> list[str]:
    """What is wrong with the verb's next run, and with what lies about after it."""
    process = _start(command, place)
    if endless:
        return [] if _serves(process, place) else ["then: it serves nothing"]
    code = process.wait(PATIENCE_SECONDS)
    return [f"then: exit code {code}"] * bool(code) + [str(left) for left in _left(place)]


def _serves(process: subprocess.Popen[bytes], place: Path) -> bool:
    """Whether it says where it serves, and ends well on Ctrl-C after that."""
    end = time.monotonic() + PATIENCE_SECONDS
    while b"Dashboard at " not in (place / "said").read_bytes() and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    return process.wait(PATIENCE_SECONDS) == 0


def _start(command: list[str], place: Path) -> subprocess.Popen[bytes]:
    variables = {"DPPROF_CACHE_DIR": str(place / "cache"), "TMPDIR": str(place / "tmp")}
    with (place / "said").open("wb") as said:
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | variables | {MARK: str(place)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def _whole_seconds(command: list[str], place: Path, *, endless: bool) -> float:
    """How long the verb lives; one that serves is killed within its first seconds."""
    if endless:
        return 6.0
    begun = time.monotonic()
    assert _start(command, place).wait(PATIENCE_SECONDS) == 0, command
    return time.monotonic() - begun


def _orphans(place: Path) -> list[int]:
    """Processes that the verb has left, after the time that they may take to end."""
    end = time.monotonic() + SECONDS
    while (found := _living(place)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _living(place: Path) -> list[int]:
    wanted = f"{MARK}={place}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                continue
    return found


def _left(place: Path) -> list[Path]:
    """Half files and temporary folders; multiprocessing's own are not ours to tell from others'."""
    half = [path for path in place.rglob("*") if path.name.startswith(".dpprof-")]
    return half + [path for path in (place / "tmp").iterdir() if path.name.startswith("dpprof-")]


def main() -> None:
    """Print the counts."""
    given = sys.argv[1:]
    count = int(given[0]) if given else 10
    seed = int(given[1]) if len(given) > 1 else 0
    for name in given[2:] or VERBS:
        found = kill(name, count, seed)
        said = "; ".join(found.wrong) or "nothing wrong"
        print(f"{name}: {found.kills} kills, {found.alive} while it ran: {said}", flush=True)


if __name__ == "__main__":
    main()
