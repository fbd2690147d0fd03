"""Which format a file has, told by its name, its first bytes, or what lies beside it."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

NSYS_REPORT = ".nsys-rep"
PARQUET_FOLDER = "_pqtdir"
"""How nsys ends the name of a folder of Parquet tables, behind that of the report."""

NSYS_TABLES = ("CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME", "NVTX_EVENTS")
SQLITE_MAGIC = b"SQLite format 3\x00"
PRIMUS_CONFIG = "config.json"
"""Beside the dumps of Primus' ranks."""
PRIMUS_DUMP = re.compile(r"pp_rank_(\d{1,6})\.json")


class Format(Enum):
    """What reads a file."""

    KINETO = "torch.profiler"
    NSYS_REPORT = "a report of Nsight Systems"
    NSYS_EXPORT = "an export of Nsight Systems"
    PRIMUS = "a dump of Primus"


def format_of(path: Path) -> Format:
    """The format of a file, or of a folder of Parquet tables; what is nothing else is Kineto's."""
    if is_nsys_report(path):
        return Format.NSYS_REPORT
    if is_primus(path):
        return Format.PRIMUS
    return Format.NSYS_EXPORT if is_nsys_export(path) else Format.KINETO


def companions(path: Path) -> list[Path]:
    """The files beside a file that its reading depends on too; none for most formats."""
    if not is_primus(path):
        return []
    return [path.parent / PRIMUS_CONFIG, *primus_dumps(path.parent)]


def primus_dumps(folder: Path) -> list[Path]:
    """The dumps of Primus' ranks in a folder, by name."""
    return sorted(one for one in folder.iterdir() if PRIMUS_DUMP.fullmatch(one.name))


def is_primus(path: Path) -> bool:
    """Whether a file is a rank's dump, by its name and the configuration beside it."""
    return PRIMUS_DUMP.fullmatch(path.name) is not None and (path.parent / PRIMUS_CONFIG).is_file()


def is_nsys_report(path: Path) -> bool:
    """Whether a path is called a report."""
    return path.name.endswith(NSYS_REPORT)


def is_nsys_export(path: Path) -> bool:
    """Whether a path is an SQLite file, or a folder of Parquet tables."""
    if path.is_dir():
        return any((path / f"{table}.parquet").is_file() for table in NSYS_TABLES)
    if not path.is_file():  # opening a pipe would wait for whoever writes into it
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError:
        return False
