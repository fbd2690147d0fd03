"""Everything that needs a GPU, in fifteen minutes, the most valuable first.

    python tests/gpu/run_all.py OUT [--seconds 540] [--only NAME ...] [--dry-run]

Each part is a session of processes of its own with its own limit; at its end whatever is left of
it is killed, so that no part can hold the card, or its time, against the next. What a part has
written is kept whatever comes after. OUT gets at most 8 files of at most 16 MiB: ``summary.json``,
a JSON file of each benchmark, the traces of the two schedules, and ``rest.tar.gz`` with logs, test
reports and small runs. `--dry-run` does the same with small models, for the pretended GPU
(tests/pretended_gpu).

Needs torch >= 2.11 with CUDA and, beside what such an image usually has (numpy, pandas, pyarrow,
click, rich, pytest, pytest-timeout, hypothesis), the package msgspec; dpprof itself need not be
installed, but take its compiled reader along (``dpprof/trace/read/_scan.abi3.so``, which git
ignores). Without a network carry msgspec as a wheel and put it on PYTHONPATH. The exit code says
whether any part failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES = 8
MOST_BYTES = 16 * 2**20
TIMED_OUT = 124
TO_PACK = 15.0
"""Seconds that are kept for packing."""

LEAST = 10.0
"""Seconds below which a part is not begun."""


@dataclass(frozen=True)
class Part:
    """A command with the seconds it may take; ``{out}`` and ``{raw}`` in it name the folders."""

    name: str
    seconds: float
    command: tuple[str, ...]


def _bench(name: str, *options: str) -> tuple[str, ...]:
    return (f"tests/benchmarks/bench_gpu_{name}.py", "--json", f"{{out}}/{name}.json", *options)


def _tests(file: str, name: str, timeout: int, *options: str) -> tuple[str, ...]:
    plain = ("-m", "pytest", f"tests/gpu/{file}", "-m", "gpu", "-q", "--tb=short")
    report = f"--junitxml={{raw}}/{name}.xml"
    return (*plain, "-p", "no:cacheprovider", f"--timeout={timeout}", report, *options)


PAIR = ("-o", "{raw}/pair", "--steps", "2")
SMALL = ("--model", "small", "--set", "dtype=bfloat16", "--set", "routing=balanced")
SMALL_LOOP = (*SMALL, "--set", "looped_ep=4", "--layers", "4")

PARTS = (
    Part("wire", 120, _bench("wire", "--seconds", "105")),
    Part("pair", 130, _bench("pair", *PAIR)),
    Part("model", 60, _tests("test_model.py", "model", 40, "-k", "not symmetric")),
    Part("profile", 120, _tests("test_profile.py", "profile", 100)),
    Part("grouped", 30, _bench("grouped")),
    Part("prediction", 90, _bench("prediction")),
    Part("symmetric", 20, _tests("test_model.py", "symmetric", 15, "-k", "symmetric")),
    Part("traces", 90, ("traces/make.py", "--cuda", "{raw}/cuda")),
    Part("share", 60, ("tests/benchmarks/bench_gpu_share.py", "--json", "{raw}/share.json")),
)
"""In the order of their value."""

DRY = (
    Part("wire", 120, _bench("wire", "--seconds", "60", *SMALL_LOOP, "--micro-batches", "4")),
    Part("pair", 130, _bench("pair", *PAIR, *SMALL_LOOP, "--micro-batches", "4")),
    Part("fails", 20, ("-c", "raise SystemExit(3)")),
    Part(
        "hangs",
        5,
        ("-c", "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"),
    ),
)
"""What can be done where kernels do nothing, and two parts that go wrong."""


def run_part(part: Part, seconds: float, folders: dict[str, Path]) -> dict[str, object]:
    """Run a part in a session of its own, and kill what is left of it; its code and seconds."""
    texts = {name: str(path) for name, path in folders.items()}
    command = [argument.format(**texts) for argument in part.command]
    begun = time.monotonic()
    with (folders["raw"] / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
        finally:
            kill_group(process.pid)
            process.wait()
    return {"code": code, "seconds": round(time.monotonic() - begun, 1)}


def kill_group(leader: int) -> None:
    """Kill every process of a group, those that its leader has left behind too."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _environment() -> dict[str, str]:
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_MAX_CONNECTIONS": "32",
        "NCCL_SOCKET_IFNAME": "lo",
        "GLOO_SOCKET_IFNAME": "lo",
        "REFERENCE_COLLECTIVE_TIMEOUT": "60",
    }


def run_parts(parts: Sequence[Part], seconds: float, folders: dict[str, Path]) -> dict[str, object]:
    """Run the parts that there is time for; the summary is written after each."""
    until = time.monotonic() + seconds - TO_PACK
    summary: dict[str, object] = {}
    for part in parts:
        left = min(part.seconds, until - time.monotonic())
        summary[part.name] = "no time" if left < LEAST and left < part.seconds else ""
        if not summary[part.name]:
            summary[part.name] = run_part(part, left, folders)
        print(part.name, summary[part.name], flush=True)
        (folders["out"] / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def pack(folders: dict[str, Path]) -> list[str]:
    """Bring into OUT what fits: two ranks' traces as they are, the rest as one archive."""
    out, raw = folders["out"], folders["raw"]
    for trace in sorted(raw.glob("pair/*/rank0.json.gz")):
        shutil.move(trace, out / f"{trace.parent.name}.rank0.json.gz")
    archive = out / "rest.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        for path in sorted(raw.iterdir()):
            target.add(path, path.name)
    return trim(out)


def trim(out: Path) -> list[str]:
    """Leave the files out that would not come back; says which."""
    files = sorted(out.iterdir(), key=lambda file: (file.suffix != ".json", file.stat().st_size))
    left_out = []
    for number, file in enumerate(files):
        if number >= MOST_FILES or file.stat().st_size > MOST_BYTES:
            left_out.append(f"{file.name} ({file.stat().st_size / 2**20:.1f} MiB)")
            file.unlink()
    return left_out


def main() -> int:
    """Run, pack, say what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    chosen = DRY if options.dry_run else PARTS
    parts = [part for part in chosen if not options.only or part.name in options.only]
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-") as raw:
        folders = {"out": options.out.resolve(), "raw": Path(raw)}
        summary = run_parts(parts, options.seconds, folders)
        left_out = pack(folders)
    if left_out:
        print("too much to bring back, left out:", ", ".join(left_out))
    return int(any(not isinstance(one, dict) or one["code"] for one in summary.values()))


if __name__ == "__main__":
    sys.exit(main())
