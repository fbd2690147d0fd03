"""The project gates itself: unchanged code passes, planted regressions fail and name who it was.

    .venv/bin/python .ci/gate/self_gate.py [--save]

Profiles DualPipe and 1F1B on the emulated device and gates them against the baselines beside this
file; then DualPipe with four planted regressions. `--save` makes the baselines anew instead.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SCHEDULES = ("dualpipe", "1f1b")
PROFILE = "--pp 4 --micro-batches 8 --layers 8 --num-steps 5 --device emulated"
REPEATS = 2
SAVED = 4


class Planted(NamedTuple):
    """A regression to plant: what the verdict must say, and the first finding's rank and cause."""

    name: str
    fault: str
    ranks: list[int]
    kind: str
    cause: str
    says: str


PLANTED = (
    Planted(
        "a serialised dispatch",
        "serial=dispatch",
        [0, 1, 2, 3],
        "dispatch",
        "less_hidden",
        r"ranks 0, 1, 2, 3: dispatch exposed, less of it hidden under compute",
    ),
    Planted(
        "an extra synchronisation",
        "sync@1=3ms",
        [1],
        "host",
        "host_late",
        r"rank 1 \(.*\): host late, .*synchronisation",
    ),
    Planted(
        "one slow rank",
        "compute@2=1.2x",
        [2],
        "compute",
        "computes_longer",
        r"rank 2 \(.*\): compute takes longer: .*\+(19|20|21)\.\d %",
    ),
    Planted(
        "a 20 % larger activation",
        "activations=1.2x",
        [0, 1, 2, 3],
        "memory",
        "holds_more",
        r"ranks 0, 1, 2, 3: memory peak larger, the largest part activations: \+1\.04 GiB",
    ),
)


def dpprof(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dpprof with the rules beside this file."""
    command = [sys.executable, "-m", "dpprof", *arguments]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True)


def profile_command(schedule: str, *more: str) -> str:
    """What profiles a schedule, for ``gate --profile``."""
    return " ".join(["dpprof profile --schedule", schedule, PROFILE, *more, "-o {out}"])


def save(schedule: str, folder: Path) -> None:
    """Make the schedule's baseline anew, from several runs."""
    runs = [folder / f"{schedule}-{number}" for number in range(SAVED)]
    for run in runs:
        command = profile_command(schedule).format(out=run).split()[1:]
        subprocess.run([sys.executable, "-m", "dpprof", *command], check=True, capture_output=True)
    target = f"baselines/{schedule}.json"
    done = dpprof("baseline", "save", *map(str, runs), "-o", target, "--force")
    sys.exit(done.stderr) if done.returncode else print(f"saved {target}")


def check_unchanged(schedule: str) -> bool:
    """Unchanged code passes."""
    done = dpprof(
        *("gate", "--profile", profile_command(schedule), "--repeat", str(REPEATS)),
        *("--baseline", f"baselines/{schedule}.json"),
    )
    good = done.returncode == 0 and done.stdout.startswith("PASSED")
    told(good, f"{schedule} unchanged", done.stdout or done.stderr)
    return good


def check_planted(planted: Planted) -> bool:
    """The regression fails the gate, and the verdict names rank, kind and cause.

    Where the machine was so busy that the gate calls everything not significant, what it advises
    is done: more runs.
    """
    for repeats in (1, REPEATS, 2 * REPEATS):
        done = dpprof(
            *("gate", "--profile", profile_command("dualpipe", "--inject", planted.fault)),
            *("--repeat", str(repeats)),
            *("--baseline", "baselines/dualpipe.json", "--format", "json"),
        )
        if done.returncode != 0 or "not significant" not in done.stdout:
            break
    if done.returncode != 1:
        told(False, planted.name, f"exit code {done.returncode}, not 1\n{done.stdout}{done.stderr}")
        return False
    result = json.loads(done.stdout)
    found = [(one["ranks"], one["kind"], one["cause"]) for one in result["findings"][:1]]
    wanted = [(planted.ranks, planted.kind, planted.cause)]
    good = found == wanted and re.search(planted.says, result["headline"]) is not None
    reasons = [result["headline"], *result["warnings"]]
    told(good, planted.name, result["headline"] if good else "\n     ".join(reasons))
    return good


def told(good: bool, name: str, text: str) -> None:
    """Say what a check gave; all of the output where it went wrong."""
    shown = text.strip().partition("\n\n")[0] if good else text
    print(f"{'ok  ' if good else 'BAD '} {name}\n     {shown}", flush=True)


def main() -> None:
    """Check, or save."""
    if sys.argv[1:] == ["--save"]:
        with tempfile.TemporaryDirectory() as folder:
            for schedule in SCHEDULES:
                save(schedule, Path(folder))
        return
    good = [check_unchanged(schedule) for schedule in SCHEDULES]
    good += [check_planted(planted) for planted in PLANTED]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
