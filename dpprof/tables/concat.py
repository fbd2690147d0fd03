"""Joins tables of the same columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from dpprof.tables.columns import empty_table


def concat_tables(columns: dict[str, str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of several, category columns kept as categories."""
    # The categories of an empty table have a type of their own, which none can be joined with.
    tables = [table for table in tables if len(table)]
    if not tables:
        return empty_table(columns)
    if len(tables) == 1:
        types = {str(name): str(dtype) for name, dtype in tables[0].dtypes.items()}
        return tables[0] if types == columns else tables[0][list(columns)].astype(columns)
    joined: dict[str, object] = {}
    for name, dtype in columns.items():
        parts = [table[name] for table in tables]
        if dtype == "category":
            joined[name] = union_categoricals([part.cat.rename_categories(str) for part in parts])
        else:
            joined[name] = np.concatenate([part.to_numpy() for part in parts])
    return pd.DataFrame(joined).astype(columns)
