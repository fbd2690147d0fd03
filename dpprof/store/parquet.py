"""One table to the bytes of a Parquet file, and back, types and all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

_ROW_GROUP = 4_000_000
_ABOUT = b"dpprof"
_CATEGORY = "category"


class _About(msgspec.Struct, frozen=True):
    """The types of all columns, and the values of those that have only one throughout."""

    rows: int
    types: dict[str, str]
    constants: dict[str, Any]


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table without its index; text columns are encoded by dictionary.

    Columns with one value throughout ("not known", mostly) are left to the metadata of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str(name): str(dtype) for name, dtype in table.dtypes.items()}
    constants = _constants(table, types)
    varying = {name: _to_arrow(table[name]) for name in types if name not in constants}
    about = msgspec.json.encode(_About(len(table), types, constants))
    stream = io.BytesIO()
    pq.write_table(
        pa.table(varying).replace_schema_metadata({_ABOUT: about}),
        stream,
        compression="lz4",
        # A dictionary of times would hold every one of them.
        use_dictionary=[name for name in varying if types[name] not in ("int64", "float64")],
        write_statistics=False,
        row_group_size=_ROW_GROUP,
    )
    return stream.getvalue()


def from_parquet(content: bytes, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table that `to_parquet` was given, or some of its columns.

    Raises ValueError (or OSError) for what is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content))
    metadata = file.schema_arrow.metadata or {}
    about = msgspec.json.decode(metadata.get(_ABOUT, b""), type=_About)
    names = [name for name in about.types if columns is None or name in columns]
    if not about.rows:
        return pd.DataFrame({name: pd.Series(dtype=about.types[name]) for name in names})
    varying = [name for name in names if name not in about.constants]
    found = file.read(columns=varying, use_threads=False).combine_chunks()
    values = {
        name: _repeated(about.types[name], about.constants[name], about.rows)
        if name in about.constants
        else _from_arrow(found.column(name), about.types[name])
        for name in names
    }
    return pd.DataFrame(values, copy=False)


def _to_arrow(column: pd.Series[Any]) -> Any:
    import pyarrow as pa

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy().astype(np.int32)
        categories = pa.array([str(one) for one in column.cat.categories], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), categories)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        return pa.array(column.to_numpy())
    return pa.array(column.tolist(), pa.string())


def _from_arrow(column: Any, dtype: str) -> Any:
    if dtype not in (_CATEGORY, "str", "object"):
        return column.to_numpy()
    if dtype != _CATEGORY:
        return pd.array(column.to_pylist(), dtype=dtype)
    array = column.chunk(0)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _categorical(codes, array.dictionary.to_pylist())


def _categorical(codes: Any, texts: Sequence[str]) -> pd.Categorical:
    dtype = pd.CategoricalDtype(pd.Index(list(texts), dtype="str"))
    return pd.Categorical.from_codes(codes, dtype=dtype, validate=False)


def _constants(table: pd.DataFrame, types: dict[str, str]) -> dict[str, Any]:
    """Column -> its one value, where it has no other."""
    found: dict[str, Any] = {}
    for name, dtype in types.items() if len(table) else ():
        if dtype == _CATEGORY:
            codes = table[name].cat.codes.to_numpy()
            if codes[0] >= 0 and (codes == codes[0]).all():
                found[name] = str(table[name].iloc[0])
        elif dtype.startswith("int"):
            values = table[name].to_numpy()
            if (values == values[0]).all():
                found[name] = int(values[0])
    return found


def _repeated(dtype: str, value: Any, rows: int) -> Any:
    if dtype == _CATEGORY:
        return _categorical(np.zeros(rows, dtype=np.int8), [value])
    return np.full(rows, value, dtype=dtype)
