"""Baseline files: a snapshot as one small JSON file that people review and commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.gate.old_names import renamed
from dpprof.gate.snapshot import SNAPSHOT_SCHEMA_VERSION, FigureSnapshot, RankColumn
from dpprof.statistics.figure import Figure
from dpprof.system.inputs import BadInput, convert_plain, decode_json, read_regular
from dpprof.system.whole import write_whole

MARK = "dpprof baseline"
"""What a baseline file says it is, under the key ``file``."""
LARGEST_BYTES = 50_000_000
_WIDTH = 100
_MOST_STEPS = 10**6
_LARGEST = 1e24


def baseline_text(snapshot: FigureSnapshot) -> str:
    """The snapshot as JSON: sorted keys, one figure a line, so that differences read well."""
    plain = msgspec.to_builtins(snapshot)
    return _lines({"file": MARK, **plain}, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    """Objects over several lines, unless they are small and flat; lists in one line."""
    line = json.dumps(value, sort_keys=True)
    if isinstance(value, list) and len(indent) + len(line) > _WIDTH:
        return _packed([json.dumps(one, sort_keys=True) for one in value], indent)
    if not isinstance(value, dict) or not value or _is_figure(value):
        return line
    inner = indent + "  "
    parts = [f"{inner}{json.dumps(key)}: {_lines(value[key], inner)}" for key in sorted(value)]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


def _packed(items: Sequence[str], indent: str) -> str:
    """A long list over as few lines as it takes."""
    lines = [f"{indent}  "]
    for position, item in enumerate(items):
        part = item + ("," if position < len(items) - 1 else "")
        if len(lines[-1]) + len(part) > _WIDTH and lines[-1].strip():
            lines.append(f"{indent}  ")
        lines[-1] += part if not lines[-1].strip() else f" {part}"
    return "[\n" + "\n".join(lines) + f"\n{indent}]"


def _is_figure(value: dict[str, Any]) -> bool:
    return value.keys() <= set(Figure.__struct_fields__) and "mean" in value


def write_baseline(path: Path, snapshot: FigureSnapshot) -> None:
    """Write the file, whole or not at all; raises `DpprofError` where it cannot be written."""
    try:
        write_whole(path, baseline_text(snapshot).encode())
    except OSError as error:
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


def read_baseline(path: Path) -> FigureSnapshot:
    """Read a baseline file of this or an older version; `DpprofError` names file and field."""
    try:
        plain = decode_json(read_regular(path, LARGEST_BYTES))
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
        snapshot = convert_plain(renamed(plain), FigureSnapshot)
    except OSError as error:
        raise DpprofError(f"{path}: cannot be read ({error.strerror})") from error
    except BadInput as error:
        raise DpprofError(f"{path}: not a valid baseline ({error}); save it anew") from error
    try:
        _check(plain, snapshot)
    except ValueError as error:
        raise DpprofError(f"{path}: {error}; save it anew") from None
    return snapshot


def _check(plain: dict[str, Any], snapshot: FigureSnapshot) -> None:
    """What types alone do not say, and the gate relies on; raises `ValueError`."""
    version = plain.get("schema_version")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"not a valid baseline (schema_version is {version})")
    steps = snapshot.steps
    if not steps or not all(1 <= one <= _MOST_STEPS for one in steps):
        raise ValueError("has no steps, or more than a run can have")
    if len(snapshot.runs) != len(steps):
        raise ValueError(f"names {len(snapshot.runs)} runs and has steps of {len(steps)}")
    if "step_ns" not in snapshot.job or snapshot.job["step_ns"].typical <= 0:
        raise ValueError("has no steps: step_ns is missing, or no time")
    if [place.rank for place in snapshot.places] != snapshot.identity.ranks:
        raise ValueError("the ranks of places are not those of identity")
    for name, figure in snapshot.job.items():
        _check_figure(f"job.{name}", figure, steps)
    for name, column in snapshot.ranks.items():
        _check_column(name, column, snapshot)


def _check_column(name: str, column: RankColumn, snapshot: FigureSnapshot) -> None:
    ranks = len(snapshot.places)
    for values in (column.mean, column.middle, column.step_sd, column.run_sd):
        if values is not None and len(values) != ranks:
            raise ValueError(f"ranks.{name}: {len(values)} values for {ranks} ranks")
    for position in range(ranks):
        figure = column.at(position)
        if figure is not None:
            _check_figure(f"ranks.{name}", figure, snapshot.steps)


def _check_figure(name: str, figure: Figure, steps: Sequence[int]) -> None:
    numbers = (figure.mean, figure.middle, figure.step_sd, figure.run_sd)
    if not all(one is None or abs(one) <= _LARGEST for one in numbers):
        raise ValueError(f"{name}: a number of more than {_LARGEST:.0e}")
    if min(figure.step_sd or 0, figure.run_sd or 0) < 0:
        raise ValueError(f"{name}: a spread below 0")
    if figure.step_sd is not None and len(steps) > 1 and figure.run_sd is None:
        raise ValueError(f"{name}: of {len(steps)} runs and has no spread of runs (run_sd)")
    if figure.step_sd is not None and min(steps) < 2:
        raise ValueError(f"{name}: of one step and has a spread of steps (step_sd)")
