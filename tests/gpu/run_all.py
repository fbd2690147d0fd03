"""Everything that needs a GPU, in parts that each fit into ten minutes.

    python tests/gpu/run_all.py tests|grouped|pair|share|traces|all OUT

Needs torch >= 2.11 with CUDA and, beside what such an image usually has (numpy, pandas, pyarrow,
click, pytest, hypothesis), the packages msgspec and rich; dpprof itself need not be installed.
Without a network carry the two as wheels and put them on PYTHONPATH. Writes into OUT:
``tests.xml``, ``pair.json``, ``grouped.json``, ``share.json``, and archives of the runs:
``pair.tar.gz``, and ``traces.tar.gz`` with small runs of DualPipe and 1F1B by two ranks that share
the GPU (``traces/make.py --cuda`` makes these too). What one part fails at does not keep the
others from running; the exit code says whether any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, seconds: int = 560) -> int:
    """Run a command in the repository with its output shown; 124 where it takes too long."""
    print("$", " ".join(command), flush=True)
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    start = time.monotonic()
    try:
        code = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=seconds, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        code = 124
    print(f"-> {code} after {time.monotonic() - start:.0f} s", flush=True)
    return code


def tests(out: Path) -> int:
    """The tests marked ``gpu``."""
    options = ("-m", "gpu", "-v", "--tb=short", "-p", "no:cacheprovider")
    return run(
        sys.executable, "-m", "pytest", "tests/gpu", *options, f"--junitxml={out / 'tests.xml'}"
    )


def pair(out: Path) -> int:
    """The targets of an overlapped pair; with fewer layers where memory is short."""
    script = "tests/benchmarks/bench_gpu_pair.py"
    options = ("--json", str(out / "pair.json"), "-o", str(out / "pair"))
    code = run(sys.executable, script, *options, seconds=340)
    if code:
        code = run(sys.executable, script, *options, "--layers", "4", seconds=220)
    _pack(out / "pair", out / "pair.tar.gz")
    return code


def grouped(out: Path) -> int:
    """Expert products against the card's rate."""
    script = "tests/benchmarks/bench_gpu_grouped.py"
    return run(sys.executable, script, "--json", str(out / "grouped.json"))


def share(out: Path) -> int:
    """What sharing the GPU costs."""
    script = "tests/benchmarks/bench_gpu_share.py"
    return run(sys.executable, script, "--json", str(out / "share.json"))


def traces(out: Path) -> int:
    """Small real traces: two pipeline ranks on this GPU, and one rank's overlapped pairs."""
    code = run(sys.executable, "traces/make.py", "--cuda", str(out / "cuda"))
    _pack(out / "cuda", out / "traces.tar.gz")
    return code


def _pack(folder: Path, target: Path) -> None:
    """One file of a folder of runs, as few files are brought back most easily."""
    if folder.is_dir():
        with tarfile.open(target, "w:gz") as archive:
            archive.add(folder, folder.name)


PARTS: dict[str, Callable[[Path], int]] = {
    "tests": tests,
    "grouped": grouped,
    "pair": pair,
    "share": share,
    "traces": traces,
}


def main(part: str, out: str) -> int:
    """Run a part, or all of them."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = PARTS if part == "all" else {part: PARTS[part]}
    codes = {name: work(folder) for name, work in chosen.items()}
    print(codes)
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
