"""Baseline files: a snapshot as one small JSON file that people review and commit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.gate.snapshot import SNAPSHOT_SCHEMA_VERSION, Figure, Snapshot

MARK = "dpprof baseline"
"""What a baseline file says it is, under the key ``file``."""
LARGEST_BYTES = 50_000_000
_WIDTH = 100


def baseline_text(snapshot: Snapshot) -> str:
    """The snapshot as JSON: sorted keys, one figure a line, so that differences read well."""
    plain = msgspec.to_builtins(snapshot)
    return _lines({"file": MARK, **plain}, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    """Objects over several lines, unless they are small and flat; lists in one line."""
    line = json.dumps(value, sort_keys=True)
    if not isinstance(value, dict) or not value or _is_figure(value):
        return line
    inner = indent + "  "
    parts = [f"{inner}{json.dumps(key)}: {_lines(value[key], inner)}" for key in sorted(value)]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


def _is_figure(value: dict[str, Any]) -> bool:
    return value.keys() <= set(Figure.__struct_fields__) and "mean" in value


def write_baseline(path: Path, snapshot: Snapshot) -> None:
    """Write the file, whole or not at all; raises `DpprofError` where it cannot be written."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(baseline_text(snapshot), encoding="utf-8")
        os.replace(partial, path)  # noqa: PTH105 - atomic on POSIX
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DpprofError(f"{path}: cannot be written ({error.strerror})") from error


def is_baseline(path: Path) -> bool:
    """Whether this is a baseline file rather than a run."""
    if not path.is_file() or path.suffix == ".gz":
        return False
    try:
        with path.open("rb") as file:
            return b'"dpprof baseline"' in file.read(2**20)
    except OSError:
        return False


def read_baseline(path: Path) -> Snapshot:
    """Read a baseline file of this or an older version; `DpprofError` names file and field."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DpprofError(
                f"{path}: over {LARGEST_BYTES} bytes, so not a baseline; save it anew"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DpprofError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        plain = msgspec.json.decode(data)
        if not isinstance(plain, dict) or plain.get("file") != MARK:
            raise DpprofError(
                f"{path}: not a baseline; make one with `dpprof baseline save RUN -o FILE`"
            )
        version = plain.get("schema_version")
        if isinstance(version, int) and version > SNAPSHOT_SCHEMA_VERSION:
            raise DpprofError(
                f"{path}: written by a newer dpprof (schema {version}, this one reads "
                f"{SNAPSHOT_SCHEMA_VERSION}); upgrade dpprof"
            )
        snapshot = msgspec.convert(plain, Snapshot)
    except msgspec.MsgspecError as error:
        raise DpprofError(f"{path}: not a valid baseline ({error}); save it anew") from error
    _check(path, snapshot)
    return snapshot


def _check(path: Path, snapshot: Snapshot) -> None:
    """What types alone do not say, and the rest of the gate relies on."""
    ranks = len(snapshot.places)
    if not snapshot.steps or min(snapshot.steps) < 1 or "step_ns" not in snapshot.job:
        raise DpprofError(f"{path}: has no steps; save it anew")
    for name, column in snapshot.ranks.items():
        for values in (column.mean, column.middle, column.step_sd, column.run_sd):
            if values is not None and len(values) != ranks:
                raise DpprofError(
                    f"{path}: ranks.{name}: {len(values)} values for {ranks} ranks; save it anew"
                )
