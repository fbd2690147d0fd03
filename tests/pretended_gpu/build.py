"""Builds the pretended GPU, and gives the environment in which torch takes it for one.

    python tests/pretended_gpu/build.py PYTHON    # of an environment with torch for CUDA 13

Needs g++, the CUDA headers that come with torch's wheels, and crt/ and nv/ from the toolkit
($CUDA_HOME, else /usr/local/cuda*) or from nvidia-cuda-crt and nvidia-cuda-cccl.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
FOLDER = Path(__file__).parents[2] / ".pretended-gpu"


class NotHereError(Exception):
    """Why the pretended GPU cannot be had here."""


def build(python: Path) -> Path:
    """The folder with the two libraries for the torch of `python`; made where it is not there."""
    packages = _packages(python)
    includes = _includes(packages)
    sources = sorted(SOURCE.iterdir())
    state = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
    folder = FOLDER / state
    if not (folder / "libcuda.so.1").exists():  # which is built last
        folder.mkdir(parents=True, exist_ok=True)
        _build_runtime(folder, packages, includes)
        _build_driver(folder, packages)
    return folder


def environment(folder: Path, gpus: int = 1) -> dict[str, str]:
    """The process's environment, with the libraries in front."""
    return os.environ | {
        "LD_LIBRARY_PATH": str(folder),
        "LD_PRELOAD": str(folder / "libpretended.so"),
        "TRITON_LIBCUDA_PATH": str(folder),
        "PRETENDED_GPUS": str(gpus),
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(gpus))),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _packages(python: Path) -> Path:
    code = "import torch; print(torch.__file__, torch.version.cuda)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(f"{python} has no torch")
    file, version = done.stdout.split()
    if not version.startswith("13."):
        raise NotHereError(f"{python} has a torch for CUDA {version}, not for CUDA 13")
    return Path(file).parents[1]


def _includes(packages: Path) -> list[str]:
    toolkits = [os.environ.get("CUDA_HOME", ""), *map(str, Path("/usr/local").glob("cuda*"))]
    wheel = packages / "nvidia" / "cu13" / "include"
    found = [wheel, *(Path(one) / "include" for one in toolkits if one)]
    crt = [folder for folder in found if (folder / "crt" / "host_defines.h").exists()]
    if not crt:
        raise NotHereError("no crt/host_defines.h: set CUDA_HOME to a CUDA 13 toolkit")
    folders = (wheel, packages / "nvidia" / "nccl" / "include", crt[0])
    return [f"-I{folder}" for folder in folders]


def _build_runtime(folder: Path, packages: Path, includes: list[str]) -> None:
    header = packages / "nvidia" / "cu13" / "include" / "cuda_runtime_api.h"
    names = set(re.findall(r"CUDARTAPI +(cuda\w+)\(", header.read_text()))
    rest = folder / "not_there.c"
    rest.write_text("\n".join(_NOT_THERE % (name, name) for name in sorted(names)))
    compiled = folder / "not_there.o"
    _run("gcc", "-c", "-fPIC", "-w", "-include", "stdio.h", str(rest), "-o", str(compiled))
    files = [str(file) for file in sorted(SOURCE.glob("*.cpp"))]
    options = ("-O2", "-std=c++17", "-shared", "-fPIC", "-Wall", *includes)
    _run("g++", *options, *files, str(compiled), "-o", str(folder / "libpretended.so"), "-lpthread")


_NOT_THERE = (
    '__attribute__((weak)) int %s() {fprintf(stderr, "pretended GPU: no %s\\n"); return 801;}'
)
"""What torch may ask for and the sources do not have: not supported."""


def _build_driver(folder: Path, packages: Path) -> None:
    text = (packages / "nvidia" / "cu13" / "include" / "cuda.h").read_text()
    names = set(re.findall(r"CUDAAPI +(cu[A-Z]\w+)\(", text))
    names |= set(re.findall(r"#define +cu[A-Z]\w+ +(cu[A-Z]\w+_v\d)", text))
    rest = folder / "driver_rest.c"
    rest.write_text(
        "\n".join(f"__attribute__((weak)) long {name}() {{return 0;}}" for name in sorted(names))
    )
    options = ("-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1")
    driver = str(SOURCE / "driver.c")
    _run("gcc", *options, driver, str(rest), "-o", str(folder / "libcuda.so.1"), "-ldl")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(f"{command[0]} failed: {done.stderr[-1500:]}")


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
