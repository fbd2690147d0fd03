"""Changes the code in small ways, one at a time, and counts how many changes the tests see.

`make mutants AREA=diff` does one area of `AREAS`, `make mutants` all of them: hours. mutmut works
in `build/mutants/AREA`, a copy of the tree, and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_COPIED = ("dpprof", "dashboards", "reference_impl", "tests", "traces", "docs", "pyproject.toml")


_CACHES = shutil.ignore_patterns("__pycache__")


_GATE_TESTS = ("gate", "measure", "rules", "split", "evidence")


class Area(NamedTuple):
    """The files that are changed, and the tests that are to see it."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "accounting": Area(
        ("analysis/accounting/*.py",),
        ("tests/analysis/test_accounting.py", "tests/analysis/test_causes.py"),
    ),
    "matching": Area(
        (
            "trace/match/operations.py",
            "trace/match/bare_order.py",
            "trace/match/batched_messages.py",
        ),
        (
            "tests/trace/test_trace_matching.py",
            "tests/trace/test_trace_groups.py",
            "tests/trace/test_trace_batches.py",
        ),
    ),
    "clock": Area(
        ("trace/match/clock_*.py", "trace/match/align_clocks.py"),
        ("tests/trace/test_trace_clock.py", "tests/trace/test_trace_clock_jumps.py"),
    ),
    "causes": Area(
        ("analysis/events/*.py", "analysis/accounting/assign_causes.py"),
        ("tests/analysis/test_causes.py", "tests/analysis/test_accounting.py"),
    ),
    "memory": Area(
        ("analysis/memory/*.py", "trace/memory/usage.py"),
        ("tests/analysis/test_memory.py", "tests/trace/test_memory_usage.py"),
    ),
    "diff": Area(
        ("analysis/diff/parts.py", "analysis/diff/work_rows.py", "analysis/diff/bubbles.py"),
        ("tests/diff/test_parts.py", "tests/diff/test_align.py", "tests/diff/test_sides.py"),
    ),
    "gate": Area(
        ("gate/judge.py", "gate/evaluate.py", "gate/measure.py"),
        tuple(
            f"tests/gate/test_{one}.py" for one in ("gate", "measure", "rules", "split", "evidence")
        ),
    ),
    "statistics": Area(
        ("statistics/*.py",), ("tests/statistics/test_student.py", "tests/gate/test_difference.py")
    ),
    "simulator": Area(
        ("simulate/walk.py", "simulate/activations.py", "simulate/timing.py"), ("tests/simulate",)
    ),
}


def main() -> None:
    """Run the areas that are named; one line of the score of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("areas", nargs="*", default=list(AREAS), help=", ".join(AREAS))
    parser.add_argument("--minutes", type=float, help="stop each area after so long")
    given = parser.parse_args()
    for name in given.areas:
        folder = prepared(name, AREAS[name])
        run_mutmut(folder, given.minutes)
        print(score(name, folder), flush=True)


def run_mutmut(folder: Path, minutes: float | None) -> None:
    """Run it in the folder, for as long as it may take; it goes on from where it was."""
    tool = Path(sys.executable).parent / "mutmut"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [tool, "run", "--max-children", "1"], cwd=folder, env=environment
    ) as process:
        try:
            process.wait(None if minutes is None else 60 * minutes)
        except subprocess.TimeoutExpired:
            process.terminate()


def prepared(name: str, area: Area) -> Path:
    """A copy of the tree that mutmut works in; what it has found so far is kept."""
    folder = ROOT / "build" / "mutants" / name
    folder.mkdir(parents=True, exist_ok=True)
    for one in _COPIED:
        target = folder / one
        if target.is_dir():
            shutil.rmtree(target)
        source = ROOT / one
        if source.is_dir():
            shutil.copytree(
                source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(source, target)
    settings = {
        "source_paths": ["dpprof"],
        "only_mutate": [f"dpprof/{one}" for one in area.files],
        "also_copy": list(_COPIED),
        "pytest_add_cli_args_test_selection": list(area.tests),
        "pytest_add_cli_args": ["-n", "0", "-p", "no:cacheprovider"],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with (folder / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    return folder


_RESULTS = {None: "not run", 0: "survived", 33: "no test"}


def score(name: str, folder: Path) -> str:
    """``diff: 203 of 230 killed, 88 %``; what was not run counts neither way."""
    found: Counter[str] = Counter()
    for file in folder.glob("mutants/**/*.meta"):
        codes = json.loads(file.read_text())["exit_code_by_key"].values()
        found.update(_RESULTS.get(code, "killed") for code in codes)
    run = found["killed"] + found["survived"] + found["no test"]
    left = f", {found['not run']} not run" if found["not run"] else ""
    return f"{name}: {found['killed']} of {run} killed, {found['killed'] / max(run, 1):.0%}{left}"


if __name__ == "__main__":
    main()
