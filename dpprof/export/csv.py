"""The tables of a run as CSV, for spreadsheets and programs that read nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from dpprof.export.content import Content
from dpprof.export.folder import write_tables

ENDING = ".csv"


def write(content: Content, path: Path) -> None:
    """Write ``<table>.csv`` for every table, or one file with the events."""
    write_tables(content, path, ENDING, _write_table)


def _write_table(parts: Iterable[pd.DataFrame], file: BinaryIO) -> None:
    for number, part in enumerate(parts):
        part.to_csv(file, index=False, header=not number, encoding="utf-8", lineterminator="\n")
