"""The tables of a run as Parquet: integers keep their widths, text is text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from dpprof.export.content import Content
from dpprof.export.folder import write_tables
from dpprof.system.optional import parquet_library

ENDING = ".parquet"


def write(content: Content, path: Path) -> None:
    """Write ``<table>.parquet`` for every table, or one file with the events."""
    write_tables(content, path, ENDING, _write_table)


def _write_table(parts: Iterable[pd.DataFrame], file: BinaryIO) -> None:
    """A row group per part; all parts have one schema, whatever texts occur in them."""
    pyarrow, parquet = parquet_library("export as Parquet")
    writer = None
    for part in parts:
        rows = part.reset_index(drop=True)
        fields = [(name, _type(pyarrow, rows[name])) for name in rows.columns]
        table = pyarrow.Table.from_pandas(rows, pyarrow.schema(fields), preserve_index=False)
        if writer is None:
            writer = parquet.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()


def _type(pyarrow: Any, column: pd.Series) -> object:
    if pd.api.types.is_integer_dtype(column.dtype):
        return pyarrow.from_numpy_dtype(column.dtype)
    return pyarrow.string()
