"""Makes the locks anew: the versions of constraints.txt with the hashes of all their files.

``pip install uv && python .ci/locked/make.py WHEEL...``. The wheels are torch for CPUs, which the
registry does not have; where none of them is to be had, the registry's torch is installed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "3.11.7"
"""The oldest Python that all of the packages run on."""
TOOLS = ("build", "cibuildwheel", "cyclonedx-bom", "pip-audit")
ALONE = "HolisticTraceAnalysis"
"""For its tests alone: all that it needs is there, but the JupyterLab that it asks for."""
CUDA = re.compile(r"(nvidia|cuda)-|triton==|torch==")
"""Torch, and what it brings where it is for CUDA."""


def lock(given: str, *options: str) -> list[str]:
    """The locked requirements, one entry each: name, version, marker and hashes."""
    words = [
        *("uv", "pip", "compile", "-", "--universal", "--python-version", PYTHON),
        *("--generate-hashes", "--no-annotate", "--no-header", "--quiet", *options),
    ]
    done = subprocess.run(words, cwd=ROOT, input=given, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return re.split(r"\n(?=\S)", done.stdout.strip())


def local(wheels: Sequence[Path]) -> str:
    """The locked requirement of a package of which these are builds."""
    name, version = wheels[0].name.split("-")[:2]
    hashes = (hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    return " \\\n".join([f"{name}=={version}", *(f"    --hash=sha256:{one}" for one in hashes)])


def write(name: str, said: str, entries: Sequence[str]) -> None:
    """A lock, beginning with what it is for."""
    head = f"# {said} Made by .ci/locked/make.py.\n"
    (HERE / name).write_text(head + "\n".join(entries) + "\n")


def main() -> None:
    """Write all locks."""
    pinned = ("-c", "constraints.txt")
    entries = lock("dpprof[dev] @ .", *pinned, "--no-emit-package", "dpprof")
    entries += lock(ALONE, *pinned, "--no-deps")
    wheels = [Path(wheel) for wheel in sys.argv[1:]]
    write("dev.txt", "What is installed for the tests.", [e for e in entries if not CUDA.match(e)])
    write("cpu.txt", "Torch for CPUs, for what Pythons it is at hand.", [local(wheels)])
    write("cuda.txt", "Torch, and on Linux what it needs.", [e for e in entries if CUDA.match(e)])
    write("tools.txt", "What workflows use beside.", lock("\n".join(TOOLS)))


if __name__ == "__main__":
    main()
