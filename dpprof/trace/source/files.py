"""Finds the trace files of a run."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME, Manifest, read_manifest
from dpprof.system.inputs import plain_text
from dpprof.trace.file_formats import (
    NSYS_REPORT,
    PARQUET_FOLDER,
    PRIMUS_CONFIG,
    is_nsys_export,
    is_nsys_report,
    is_primus,
)
from dpprof.trace.file_names import (
    SNAPSHOT_ENDING,
    TRACE_ENDINGS,
    RunPaths,
    given_ranks,
    rank_in_name,
)
from dpprof.trace.nsys.export import refuse_report
from dpprof.trace.source.recordings import recordings, what_to_type

_SMALL = 1 << 20
_MOST_DEEP = 4
_MOST_LOOKED_AT = 2000
_FORMS = (".json", ".sqlite")
_MOST_LISTED = 12
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class RunFiles:
    """The trace files of one run, sorted by name, and its manifest where there is one.

    `left_out` are JSON files beside them that are no traces; `ranks` are those of the traces where
    the user gives them.
    """

    name: str
    traces: tuple[Path, ...]
    manifest: Manifest | None = None
    left_out: tuple[Path, ...] = ()
    ranks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """A name may hold bytes that no text can."""
        object.__setattr__(self, "name", plain_text(self.name))


def find_files(path: RunPaths) -> RunFiles:
    """The trace files that `path` names.

    `path` is a run folder (``run.json`` and ``rank<r>.json.gz``) or its ``run.json``, a folder or a
    glob of trace files, one trace file, or several files; ``0=FILE,1=FILE`` or a mapping gives
    ranks to traces. Raises `DpprofError` where there is nothing to read.
    """
    if isinstance(path, Mapping):
        return _given({int(rank): Path(file) for rank, file in path.items()})
    if not isinstance(path, str | os.PathLike):
        traces = tuple(Path(one) for one in path)
        if not traces:
            raise DpprofError("no trace file given; give a run folder or trace files")
        return RunFiles(_common_name(traces), traces)
    place = Path(path)
    if place.name == MANIFEST_NAME and place.is_file():
        place = place.parent
    if place.is_dir():
        return RunFiles(_stem(place), (place,)) if is_nsys_export(place) else _folder(place)
    if place.exists():
        _refuse_secret(place)
        return RunFiles(_stem(place), (place,))
    given = given_ranks(str(path))
    if given is not None:
        return _given(given)
    traces = tuple(Path(match) for match in sorted(glob.glob(str(path))))  # noqa: PTH207
    if not traces:
        raise DpprofError(f"{path}: no such file or folder; give a run folder or trace files")
    return RunFiles(_common_name(traces), traces)


def _given(files: Mapping[int, Path]) -> RunFiles:
    if not files:
        raise DpprofError("no trace file given; give a run folder or trace files")
    traces = tuple(files[rank] for rank in sorted(files))
    return RunFiles(_common_name(traces), traces, ranks=tuple(sorted(files)))


def runs_inside(folder: Path) -> list[Path]:
    """The sub-folders that hold a run or traces, where the folder itself holds none; sorted."""
    if _holds_run(folder):
        return []
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and _holds_run(one)]


def runs_below(folder: Path) -> list[Path]:
    """The folders at any depth, within reason, that hold a run or traces, by number in their names.

    Profilers write them as ``profiling/traces/iteration_10/rank0_trace.json``.
    """
    found: list[Path] = []
    here, seen = [folder], 0
    for _ in range(_MOST_DEEP):
        inside = [one for at in here for one in _folders_in(at)][:_MOST_LOOKED_AT]
        seen += len(inside)
        for one in inside:
            with suppress(DpprofError):  # one that may not be read
                found += [one] if _holds_run(one) else []
        here = [one for one in inside if one not in found]
        if seen >= _MOST_LOOKED_AT:
            break
    return sorted(found, key=_numbers_as_such)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [one for one in folder.iterdir() if _may_hold_runs(one)]
    except OSError:
        return []


def _may_hold_runs(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_dir() and not path.is_symlink()


def _numbers_as_such(path: Path) -> list[tuple[int, str]]:
    """iteration_9 before iteration_10."""
    return [
        (int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part)
        for part in _NUMBERS.split(str(path))
    ]


def _holds_run(folder: Path) -> bool:
    if (folder / MANIFEST_NAME).exists():
        return True
    return any(not _is_no_trace(file) for file in _traces_in(folder))


def _traces_in(folder: Path) -> tuple[Path, ...]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise DpprofError(f"{folder}: cannot be read ({error.strerror})") from error
    found = tuple(file for file in files if _is_trace(file))
    exports = {file.with_name(_stem(file)) for file in found if is_nsys_export(file)}
    found = tuple(
        file for file in found if not (is_nsys_report(file) and file.with_suffix("") in exports)
    )
    if any(map(is_primus, found)):
        found = tuple(file for file in found if file.name != PRIMUS_CONFIG)
    return found


def _is_trace(path: Path) -> bool:
    """Whether a path in a folder is called like a trace, or is an export's folder of tables."""
    if path.is_dir():
        return is_nsys_export(path)
    return path.name.endswith(TRACE_ENDINGS) and not _is_other(path.name) and path.is_file()


def _folder(folder: Path) -> RunFiles:
    traces = _traces_in(folder)
    for trace in traces:
        _refuse_secret(trace)
    manifest_path = folder / MANIFEST_NAME
    has_manifest = manifest_path.exists()
    if has_manifest:
        traces = tuple(trace for trace in traces if trace.name.startswith("rank"))
    others = () if has_manifest else tuple(trace for trace in traces if _is_no_trace(trace))
    if not traces or (len(others) == len(traces) and runs_inside(folder)):
        below = runs_below(folder)
        if len(below) == 1:
            return _folder(below[0])
        raise DpprofError(_nothing_in(folder, below))
    if len(others) < len(traces):
        traces = tuple(trace for trace in traces if trace not in others)
    found = [list(traces)] if has_manifest else recordings(traces)
    if len(found) > 1:
        raise DpprofError(what_to_type(folder, found))
    manifest = read_manifest(manifest_path) if has_manifest else None
    left_out = tuple(other for other in others if other not in traces)
    return RunFiles(Path(os.path.realpath(folder)).name, traces, manifest, left_out)


def _refuse_secret(trace: Path) -> None:
    """Raise `DpprofError` for a report of Nsight Systems where nothing can export it."""
    if is_nsys_report(trace):
        refuse_report(trace)


def _is_no_trace(file: Path) -> bool:
    """Whether a small file beside traces is some other JSON: a configuration, a result.

    One that is called a rank's is never passed over: it may be a trace that was cut off.
    """
    try:
        if file.suffix != ".json" or file.stat().st_size > _SMALL or "rank" in file.name.lower():
            return False
        content = file.read_bytes()
    except OSError:
        return False
    return content.lstrip()[:1] == b"{" and b'"traceEvents"' not in content


def _is_other(name: str) -> bool:
    """Whether a JSON file beside traces is none: a manifest, a memory snapshot."""
    return name == MANIFEST_NAME or name.endswith(SNAPSHOT_ENDING)


def _nothing_in(folder: Path, below: Sequence[Path]) -> str:
    if not below:
        return (
            f"{folder}: holds no trace files (*.json, *.json.gz, *.json.zst, *.sqlite, *.nsys-rep, "
            "folders of `nsys export --type parquetdir`); give a run folder or trace files"
        )
    listed = [str(one.relative_to(folder)) for one in below]
    names = ", ".join(listed[:_MOST_LISTED]) + (", ..." if len(listed) > _MOST_LISTED else "")
    if all((one / MANIFEST_NAME).exists() for one in below):
        return f"{folder}: holds the runs {names}; give one of them"
    one = f"give one of them, such as '{below[-1]}'"
    if _share_ranks(below):
        return f"{folder}: holds recordings of the same ranks in its folders {names}; {one}"
    return (
        f"{folder}: holds traces only in its folders {names}; {one}, or all of them as one run: "
        f"'{pattern_of_all(folder, below)}'"
    )


def pattern_of_all(folder: Path, below: Sequence[Path]) -> str:
    """A pattern of the traces in all folders `below`: ``folder/*/*.json*``."""
    traces = [trace for one in below for trace in _traces_in(one)]
    ending = next((one for one in _FORMS if all(one in trace.name for trace in traces)), "")
    deep = "/".join("*" for _ in below[0].relative_to(folder).parts)
    return f"{folder}/{deep}/*{ending}{'*' * bool(ending)}"


def _share_ranks(folders: Sequence[Path]) -> bool:
    """Whether names say that the same ranks were recorded in several folders."""
    ranks = [{rank_in_name(file) for file in _traces_in(one)} - {None} for one in folders]
    return any(first & second for first, second in itertools.pairwise(ranks))


def _stem(file: Path) -> str:
    packings = (".tgz", ".gz", ".zst", ".xz", ".bz2", ".zip", ".tar")
    for ending in (*packings, ".json", ".sqlite", NSYS_REPORT, PARQUET_FOLDER, ".trace", ".pt"):
        file = file.with_name(file.name.removesuffix(ending) or file.name)
    return file.name


def _common_name(traces: Sequence[Path]) -> str:
    folders = {Path(os.path.realpath(trace)).parent for trace in traces}
    if len(traces) == 1:
        return _stem(traces[0])
    return folders.pop().name if len(folders) == 1 else "traces"
