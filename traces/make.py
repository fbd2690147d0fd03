"""Make the sample runs of this folder anew, with their golden metrics: ``make golden``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCHEDULES = ("dualpipe", "1f1b")

PAIRS = ("--model", "medium", "--set", "micro_batch=4", "--set", "looped_ep=8")
PAIRS += ("--pp", "1", "--micro-batches", "4")
"""Overlapped pairs with an exchange in them, large enough that the host can keep ahead."""


def golden(folder: Path) -> dict[str, object]:
    """The analysis of a run, without its regions, which are many."""
    command = [sys.executable, "-m", "dpprof", "analyze", str(folder), "--format", "json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {key: value for key, value in report.items() if key != "regions"}


def profile() -> None:
    """Profile every schedule into this folder."""
    options = "--pp 4 --micro-batches 8 --num-steps 2 --device emulated --costs unit-components"
    _run("--schedule", ",".join(SCHEDULES), *options.split(), "-o", "traces")


def profile_cuda(folder: str) -> None:
    """The same schedules on a real GPU that two ranks share, and overlapped pairs of one rank."""
    common = ["--device", "cuda", "--layers", "4", "--num-steps", "1", "-o", folder]
    common += ["--set", "routing=balanced", "--set", "dtype=bfloat16"]
    pipeline = ["--pp", "2", "--micro-batches", "8", "--share-gpus"]
    _run("--schedule", ",".join(SCHEDULES), *common, "--model", "small", *pipeline)
    _run("--schedule", "dualpipev", *common, *PAIRS)


def profile_pretended() -> None:
    """Small runs for the reader, on the two pretended GPUs that this process must see."""
    common = ["--device", "cuda", "--model", "tiny", "--layers", "2", "--num-steps", "1"]
    common += ["--micro-batches", "4", "--set", "routing=balanced", "--set", "dtype=bfloat16"]
    common += ["-o", "traces/pretended"]
    _run("--schedule", "1f1b", *common, "--pp", "2", "--share-gpus")
    _run("--schedule", "dualpipe", *common, "--pp", "2")
    _run("--schedule", "dualpipev", *common, "--pp", "1", "--set", "looped_ep=4")


def _run(*options: str) -> None:
    command = [sys.executable, "-m", "dpprof", "profile", "--force", *options]
    subprocess.run(command, check=True, cwd=HERE.parent)


def main() -> None:
    """Profile, unless asked for the metrics alone; analyze; write ``golden.json``.

    ``--cuda [FOLDER]`` makes the CUDA samples in ``traces/cuda``, or elsewhere and no metrics;
    ``--pretended`` those of the pretended GPU (tests/pretended_gpu), and no metrics.
    """
    if sys.argv[1:] == ["--pretended"]:
        profile_pretended()
        return
    if sys.argv[1:2] == ["--cuda"]:
        profile_cuda(*(sys.argv[2:] or ["traces/cuda"]))
    elif sys.argv[1:] != ["--metrics-only"]:
        profile()
    if sys.argv[2:]:
        return
    runs = (*HERE.glob("cuda/*/run.json"), *HERE.glob("pretended/*/run.json"))
    found = sorted(str(path.parent.relative_to(HERE)) for path in runs)
    metrics = {name: golden(HERE / name) for name in (*SCHEDULES, *found)}
    (HERE / "golden.json").write_text(json.dumps(metrics, indent=1) + "\n")


if __name__ == "__main__":
    main()
