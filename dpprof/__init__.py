"""dpprof: profiling and overlap analysis for pipeline-parallel MoE training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` gives, for type checkers
    from dpprof import hta as hta
    from dpprof.api import LoadedRun, load
    from dpprof.errors import DpprofError
    from dpprof.instrument import capture, label, slot_label

__version__ = "0.1.0"

_PUBLIC = {
    "load": "dpprof.api",
    "LoadedRun": "dpprof.api",
    "capture": "dpprof.instrument",
    "label": "dpprof.instrument",
    "slot_label": "dpprof.instrument",
    "DpprofError": "dpprof.errors",
}
"""Public names and where they live; looked up on first use, so that importing stays cheap."""

_MODULES = ("hta",)

__all__ = ["DpprofError", "LoadedRun", "__version__", "capture", "label", "load", "slot_label"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"dpprof.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dpprof' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
