"""What a user gets by `pip install`: one import package, types, a version in one place."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import dpprof

ROOT = Path(__file__).parents[1]


def test_types_reach_users(tmp_path: Path) -> None:
    script = tmp_path / "user.py"
    script.write_text("import dpprof\nreveal_type(dpprof.load)\nreveal_type(dpprof.capture)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    shown = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(shown) == 2, done.stdout + done.stderr
    assert "LoadedRun" in shown[0]
    assert all('"Any"' not in line for line in shown)


def test_every_public_name_is_there_and_typed() -> None:
    source = (ROOT / "dpprof" / "__init__.py").read_text()
    checked = source.split("if TYPE_CHECKING")[1].split("__version__")[0]
    for name in dpprof.__all__:
        assert getattr(dpprof, name) is not None
        assert name == "__version__" or name in checked


def test_the_version_is_written_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert version("dpprof") == dpprof.__version__


def test_one_package_is_installed() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert built["packages"]["find"]["include"] == ["dpprof*"]
    for name, folder in (("dashboards", "dashboards"), ("reference", "reference_impl")):
        assert (ROOT / "dpprof" / name).resolve() == ROOT / folder


def test_without_the_extra_for_parquet_traces_are_read_and_nothing_is_cached() -> None:
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import dpprof\n"
        "from dpprof.store.place import find_place\n"
        "from dpprof.system.optional import parquet_library\n"
        "assert find_place() is None\n"
        "assert len(dpprof.load('traces/1f1b').run.events) > 0\n"
        "try:\n"
        "    parquet_library('export as Parquet')\n"
        "except dpprof.DpprofError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "export as Parquet needs pyarrow: pip install 'dpprof[parquet]'\n"
