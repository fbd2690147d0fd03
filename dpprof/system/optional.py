"""Libraries that an extra brings: asked for where they are used, and named where they lack."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dpprof.errors import DpprofError


def has_parquet() -> bool:
    """Whether Parquet can be read and written."""
    try:
        return find_spec("pyarrow") is not None
    except ValueError:  # what somebody has blocked
        return False


def parquet_library(what: str) -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``; raises `DpprofError` that says what needs them."""
    if not has_parquet():
        raise DpprofError(f"{what} needs pyarrow: pip install 'dpprof[parquet]'")
    return import_module("pyarrow"), import_module("pyarrow.parquet")
