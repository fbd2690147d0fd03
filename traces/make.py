"""Make the sample runs of this folder anew, with their golden metrics: ``make golden``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCHEDULES = ("dualpipe", "1f1b")


def golden(folder: Path) -> dict[str, object]:
    """The analysis of a run, without its regions, which are many."""
    command = [sys.executable, "-m", "dpprof", "analyze", str(folder), "--format", "json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {key: value for key, value in report.items() if key != "regions"}


def profile() -> None:
    """Profile every schedule into this folder."""
    options = "--pp 4 --micro-batches 8 --steps 2 --device emulated --costs unit-components --force"
    command = [sys.executable, "-m", "dpprof", "profile", "--schedule", ",".join(SCHEDULES)]
    subprocess.run([*command, *options.split(), "-o", "traces"], check=True, cwd=HERE.parent)


def main() -> None:
    """Profile, unless asked for the metrics alone; analyze; write ``golden.json``."""
    if sys.argv[1:] != ["--metrics-only"]:
        profile()
    metrics = {name: golden(HERE / name) for name in SCHEDULES}
    (HERE / "golden.json").write_text(json.dumps(metrics, indent=1) + "\n")


if __name__ == "__main__":
    main()
