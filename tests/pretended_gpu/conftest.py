"""Tests on the pretended GPU skip, with a reason, where no torch for CUDA is."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pretended_build", HERE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PretendedGpu:
    """Runs commands where torch finds a GPU."""

    def __init__(self, python: Path, libraries: Path, build: ModuleType) -> None:
        self.python = python
        self._libraries = libraries
        self._build = build

    def run(self, *command: str, gpus: int = 1, **environment: str) -> str:
        """Run Python with these arguments; gives what it printed, fails with its errors."""
        done = subprocess.run(
            [str(self.python), *command],
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
            cwd=ROOT,
            env=self._build.environment(self._libraries, gpus) | environment,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def profile(self, folder: Path, *options: str, gpus: int = 1) -> Path:
        """``dpprof profile --device cuda``; gives `folder`."""
        command = ("-m", "dpprof", "profile", "--device", "cuda", "--num-steps", "1")
        self.run(*command, *options, "-o", str(folder), gpus=gpus)
        return folder

    def ask(self, case: str, *arguments: str) -> Any:
        """What a case of ``worker.py`` answers."""
        output = self.run(str(HERE / "worker.py"), case, *arguments)
        return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="session")
def gpu() -> PretendedGpu:
    build = _load_build()
    named = os.environ.get("PRETENDED_GPU_PYTHON", ROOT / ".venv-cuda" / "bin" / "python")
    python = Path(named)
    if not python.exists():
        _not_here("no torch for CUDA here: make pretended-gpu installs one, of 5 GB")
    try:
        return PretendedGpu(python, build.build(python), build)
    except build.NotHereError as reason:
        _not_here(f"the pretended GPU cannot be built: {reason}")


def _not_here(reason: str) -> NoReturn:
    """Skip; fail where tests that show nothing must not pass for green (`make pretended-gpu`)."""
    if os.environ.get("PRETENDED_GPU_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


Profiled = Callable[[str], Path]

MODEL = ("--model", "small", "--set", "dtype=bfloat16", "--set", "routing=balanced")
MESHES = {
    "pp1": (1, "--pp", "1", "--micro-batches", "6", "--layers", "4", "--set", "looped_ep=4"),
    "pp2_ep2": (4, "--pp", "2", "--ep", "2", "--micro-batches", "8", "--layers", "4"),
    "pp4": (4, "--pp", "4", "--micro-batches", "10", "--layers", "4"),
    "shared": (1, "--pp", "2", "--share-gpus", "--micro-batches", "4", "--layers", "4"),
}


@pytest.fixture(scope="session")
def profiled(gpu: PretendedGpu, tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    """The run of a mesh by name, each profiled once."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            number, *options = MESHES[name]
            schedule = "dualpipev" if name == "pp1" else "dualpipe"
            folder = tmp_path_factory.mktemp(name)
            gpu.profile(folder, *options, *MODEL, "--schedule", schedule, gpus=number)
            made[name] = folder / schedule
        return made[name]

    return of
