"""Everything that needs a GPU, in fifteen minutes, the most valuable first.

    python tests/gpu/run_all.py OUT [--seconds 540] [--only NAME ...] [--dry-run]

First a probe says what the card and its image can do. Each part is a session of processes of its
own with its own limit; at its end whatever is left of it is killed, so that no part can hold the
card, or its time, against the next. Where a part fails it is tried once more with less, if there
is time. What a part has written is kept whatever comes after: OUT is made up anew behind each. It
gets at most 8 files of at most 16 MiB: ``summary.json``, a JSON file of each benchmark, the traces
of the two schedules, and ``rest.tar.gz`` with logs, test reports and small runs. All limits
together, with a minute and three quarters for the machine to start, stay under fifteen minutes;
where one call may take ten, the first takes what fits and a second one (`--only prediction
symmetric traces share`, or what failed) the rest. `--dry-run` does the same with small models, for
the pretended GPU (tests/pretended_gpu), and lets one part hang.

Needs torch >= 2.11 with CUDA and, beside what such an image usually has (numpy, pandas, pyarrow,
click, rich, regex, pytest, pytest-timeout, hypothesis), the package msgspec; dpprof itself need not
be installed, but take its compiled parts along, which git ignores
(``dpprof/trace/read/_scan.abi3.so``, ``dpprof/schedules/_step.abi3.so``). Without a network carry
msgspec as a wheel and put it on PYTHONPATH. The exit code says whether any part failed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gzip
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
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES = 8
MOST_BYTES = 16 * 2**20
MOST_IN_ALL = 64 * 2**20
TIMED_OUT = 124
TO_PACK = 15.0
"""Seconds that are kept for packing."""

LEAST = 10.0
"""Seconds below which a part is not begun."""


@dataclass(frozen=True)
class Part:
    """A command with the seconds it may take; ``{out}`` and ``{raw}`` in it name the folders.

    Where it fails, it is run again with the options `less`; in a rehearsal always with `dry`.
    """

    name: str
    seconds: float
    command: tuple[str, ...]
    less: tuple[str, ...] = ()
    dry: tuple[str, ...] = ()


def _bench(name: str, *options: str, raw: bool = False) -> tuple[str, ...]:
    file = f"{{{'raw' if raw else 'out'}}}/{name}.json"
    return (f"tests/benchmarks/bench_gpu_{name}.py", "--json", file, *options)


def _tests(file: str, name: str, timeout: int, *options: str) -> tuple[str, ...]:
    plain = ("-m", "pytest", f"tests/gpu/{file}", "-m", "gpu", "-v", "--tb=short")
    report = f"--junitxml={{raw}}/{name}.xml"
    return (*plain, "-p", "no:cacheprovider", f"--timeout={timeout}", report, *options)


PAIR = ("-o", "{raw}/pair", "--steps", "2")
FEWER = ("--layers", "4")
SMALL = ("--model", "small", "--set", "dtype=bfloat16", "--set", "routing=balanced")
LOOP = ("--set", "looped_ep=4", *FEWER, "--micro-batches", "4")
BALANCED = ("--set", "routing=balanced")

PARTS = (
    Part("probe", 45, _bench("probe")),
    Part("wire", 120, _bench("wire", "--seconds", "105"), dry=(*SMALL, *LOOP)),
    Part("pair", 130, _bench("pair", *PAIR), FEWER, dry=(*SMALL, *LOOP)),
    Part("model", 60, _tests("test_model.py", "model", 40, "-k", "not symmetric")),
    Part("profile", 120, _tests("test_profile.py", "profile", 100)),
    Part("grouped", 30, _bench("grouped")),
    Part("prediction", 90, _bench("prediction", raw=True), FEWER, dry=(*SMALL, *LOOP)),
    Part("symmetric", 20, _tests("test_model.py", "symmetric", 15, "-k", "symmetric")),
    Part("traces", 75, ("traces/make.py", "--cuda", "{raw}/cuda")),
    Part("share", 60, _bench("share", *BALANCED, raw=True)),
)
"""In the order of their value, behind the probe."""

HANG = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True);"
DRY = (
    *(replace(part, command=(*part.command, *part.dry)) for part in PARTS),
    Part("hangs", 5, ("-c", HANG + "time.sleep(600)")),
)
"""The same where kernels do nothing, and one that hangs, its child in a session of its own."""


def run_part(part: Part, seconds: float, folders: dict[str, Path]) -> dict[str, object]:
    """Run a part in a session of its own, and kill what is left of it; its code and seconds."""
    texts = {name: str(path) for name, path in folders.items()}
    command = [argument.format(**texts) for argument in part.command]
    begun = time.monotonic()
    with (folders["raw"] / f"{part.name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=_environment(folders["out"]),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
            process.send_signal(signal.SIGINT)  # pytest then says what it found so far
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
        finally:
            kill_group(process.pid)
            kill_children()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold it for good
                process.wait(10)
    return {"code": code, "seconds": round(time.monotonic() - begun, 1)}


def kill_group(leader: int) -> None:
    """Kill every process of a group, those that its leader has left behind too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what a part leaves behind in other sessions (Linux)."""
    set_child_subreaper = 36
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def kill_children() -> None:
    """Kill what this process has adopted, and what that leaves behind, for two seconds at most."""
    until = time.monotonic() + 2
    while (children := _children()) and time.monotonic() < until:
        for child in children:
            kill_group(child)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def _children() -> list[int]:
    """Those of this process that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(status.parent.name))
    return found


def _environment(out: Path) -> dict[str, str]:
    """For a part; with what the probe found NCCL to need."""
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    found = {}
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((out / "probe.json").read_text())["environment"]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_MAX_CONNECTIONS": "32",
        "NCCL_SOCKET_IFNAME": "lo",
        "GLOO_SOCKET_IFNAME": "lo",
        "REFERENCE_COLLECTIVE_TIMEOUT": "60",
        **found,
    }


def run_parts(parts: Sequence[Part], seconds: float, folders: dict[str, Path]) -> dict[str, object]:
    """Run the parts that there is time for; OUT is made up and the summary written after each."""
    until = time.monotonic() + seconds - TO_PACK
    summary: dict[str, object] = {}
    for part in parts:
        left = min(part.seconds, until - time.monotonic())
        summary[part.name] = "no time" if left < LEAST and left < part.seconds else ""
        if not summary[part.name]:
            summary[part.name] = run_or_less(part, left, folders)
        print(part.name, summary[part.name], flush=True)
        left_out = pack(folders)
        said = summary | ({"left out": left_out} if left_out else {})
        (folders["out"] / "summary.json").write_text(json.dumps(said, indent=1) + "\n")
    return summary


def run_or_less(part: Part, seconds: float, folders: dict[str, Path]) -> dict[str, object]:
    """A part, and where it failed early and can do with less, once more."""
    begun = time.monotonic()
    result = run_part(part, seconds, folders)
    left = seconds - (time.monotonic() - begun)
    if not part.less or result["code"] in (0, TIMED_OUT) or left < LEAST:
        return result
    second = run_part(replace(part, command=(*part.command, *part.less)), left, folders)
    return {**second, "with": " ".join(part.less), "before": result}


def pack(folders: dict[str, Path]) -> list[str]:
    """Bring into OUT what fits: two ranks' traces as they are, the rest as one archive."""
    out, raw = folders["out"], folders["raw"]
    for trace in sorted(raw.glob("pair/*/rank0.json.gz")):
        shutil.move(trace, out / f"{trace.parent.name}.rank0.json.gz")
        shrink(out / f"{trace.parent.name}.rank0.json.gz")
    archive = out / "rest.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        for path in sorted(raw.iterdir()):
            target.add(path, path.name)
    return trim(out)


QUERIES = ("cudaEventQuery", "cudaStreamQuery", "cudaStreamIsCapturing")


def shrink(trace: Path) -> None:
    """Leave out of a trace that is too large what no figure needs: queries, then operators."""
    for wanted in (lambda e: e.get("name") not in QUERIES, lambda e: e.get("cat") != "cpu_op"):
        if trace.stat().st_size <= MOST_BYTES:
            return
        whole = json.loads(gzip.decompress(trace.read_bytes()))
        whole["traceEvents"] = list(filter(wanted, whole["traceEvents"]))
        trace.write_bytes(gzip.compress(json.dumps(whole).encode(), 6))


def trim(out: Path) -> list[str]:
    """Leave the files out that would not come back; says which."""
    files = sorted(out.iterdir(), key=lambda file: (file.suffix != ".json", file.stat().st_size))
    left_out = []
    number = taken = 0
    for file in files:
        size = file.stat().st_size
        if number >= MOST_FILES or size > MOST_BYTES or taken + size > MOST_IN_ALL:
            left_out.append(f"{file.name} ({size / 2**20:.1f} MiB)")
            file.unlink()
            continue
        number, taken = number + 1, taken + size
    return left_out


def main() -> int:
    """Run, pack, say what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TIMED_OUT))
    chosen = DRY if options.dry_run else PARTS
    parts = [part for part in chosen if not options.only or part.name in options.only]
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-") as raw:
        folders = {"out": options.out.resolve(), "raw": Path(raw)}
        summary = run_parts(parts, options.seconds, folders)
    return int(any(not isinstance(one, dict) or one["code"] for one in summary.values()))


if __name__ == "__main__":
    sys.exit(main())
