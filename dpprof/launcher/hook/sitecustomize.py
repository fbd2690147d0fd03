"""Loaded by every Python that ``dpprof run`` starts; waits for torch, and costs nothing until then.

The job's own ``sitecustomize`` is run as if this one were not there.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


def _run_own() -> None:
    paths = [path for path in sys.path if os.path.abspath(path or os.curdir) != _HERE]
    sys.path[:] = paths
    this = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401 - the job's own
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", this)  # who imports this looks for it


class _TorchWatch:
    """Begins when torch has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "torch" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec("torch")
        loader = getattr(spec, "loader", None)
        if loader is None or not hasattr(loader, "__dict__"):
            return spec
        run = loader.exec_module

        def exec_module(module: Any) -> None:
            del loader.exec_module
            run(module)
            _begin()

        loader.exec_module = exec_module
        return spec


def _begin() -> None:
    try:
        try:
            from dpprof.launcher.rank import begin
        except ModuleNotFoundError as error:
            if error.name != "dpprof":
                raise
            # Another Python than the one that dpprof is installed in.
            sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))
            from dpprof.launcher.rank import begin
        begin()
    except Exception as error:
        _say(f"dpprof could not begin ({type(error).__name__}: {error})")


def _say(text: str) -> None:
    import json

    folder = os.environ.get("DPPROF_RUN_NOTES", "")
    try:
        with open(os.path.join(folder, f"{os.getpid()}.log"), "a") as file:
            file.write(json.dumps({"what": "note", "text": text}) + "\n")
    except OSError:
        sys.stderr.write(text + "\n")


if os.environ.get("DPPROF_RUN"):
    sys.meta_path.insert(0, _TorchWatch())
_run_own()
