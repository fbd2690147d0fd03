"""One table to the bytes of a Parquet file, and back, types and all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

_ROW_GROUP = 4_000_000
_CONSTANTS = b"dpprof.constants"


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table without its index; text columns are encoded by dictionary.

    Columns with one value throughout ("not known", mostly) are left to the metadata of the file.
    """
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    constants = _constants(table)
    varying = table.drop(columns=list(constants))
    arrow = pa.Table.from_pandas(varying, preserve_index=False, nthreads=1)
    types = {str(name): str(dtype) for name, dtype in table.dtypes.items()}
    about = {"rows": len(table), "types": types, "values": constants}
    metadata = {**(arrow.schema.metadata or {}), _CONSTANTS: msgspec.json.encode(about)}
    stream = io.BytesIO()
    pq.write_table(
        arrow.replace_schema_metadata(metadata),
        stream,
        compression="lz4",
        use_dictionary=_worth_a_dictionary(varying),
        write_statistics=False,
        row_group_size=_ROW_GROUP,
    )
    return stream.getvalue()


def from_parquet(content: bytes, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table that `to_parquet` was given, or some of its columns.

    Raises ValueError (or OSError) for what is no such file.
    """
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content))
    about = msgspec.json.decode((file.schema_arrow.metadata or {})[_CONSTANTS])
    names = [name for name in about["types"] if columns is None or name in columns]
    if not about["rows"]:  # Arrow does not keep the type of text without values
        return pd.DataFrame({name: pd.Series(dtype=about["types"][name]) for name in names})
    varying = [name for name in names if name not in about["values"]]
    frame: pd.DataFrame = file.read(columns=varying, use_threads=False).to_pandas(
        split_blocks=True, use_threads=False
    )
    if not varying:
        frame = pd.DataFrame(index=pd.RangeIndex(about["rows"]))
    series = {
        name: frame[name] if name in varying else _repeated(about["values"][name], about["rows"])
        for name in names
    }
    return pd.DataFrame(series, copy=False)


def _constants(table: pd.DataFrame) -> dict[str, tuple[str, Any]]:
    """Column -> its type and its one value, where it has no other."""
    found: dict[str, tuple[str, Any]] = {}
    for name in table.columns if len(table) else ():
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy()
            if codes[0] >= 0 and (codes == codes[0]).all():
                found[str(name)] = ("category", str(column.iloc[0]))
        elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
            values = column.to_numpy()
            if (values == values[0]).all():
                found[str(name)] = (str(column.dtype), int(values[0]))
    return found


def _repeated(constant: tuple[str, Any], rows: int) -> Any:
    dtype, value = constant
    if dtype == "category":
        categories = pd.Index([value], dtype="str")
        return pd.Categorical.from_codes(np.zeros(rows, dtype=np.int8), categories)
    return np.full(rows, value, dtype=dtype)


def _worth_a_dictionary(table: pd.DataFrame) -> list[str]:
    """Text, and numbers below a few thousand; times would only fill a dictionary in vain."""
    return [
        str(name)
        for name, dtype in table.dtypes.items()
        if not (isinstance(dtype, np.dtype) and dtype.itemsize == 8)
    ]
