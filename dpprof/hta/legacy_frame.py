"""A data frame that still answers as pandas 2 did where HTA 0.5.0 relies on it.

HTA calls ``drop(axis=1, columns=...)``, which pandas 3 refuses, and takes it that ``replace`` of
the last text in a column leaves numbers, which NumPy then sorts. What is made from such a frame
is one too, so nothing of pandas itself is changed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd


class LegacyFrame(pd.DataFrame):
    """See the module; only what HTA 0.5.0 needs."""

    @property
    def _constructor(self) -> type[LegacyFrame]:
        return LegacyFrame

    def drop(self, labels: Any = None, *, columns: Any = None, **options: Any) -> Any:
        """As in pandas 2: `axis` does not matter where `columns` are named."""
        if columns is not None and labels is None:
            options.pop("axis", None)
        return super().drop(labels, columns=columns, **options)

    def replace(self, *values: Any, **options: Any) -> Any:
        """As in pandas 2: a column that holds only numbers afterwards is one of numbers."""
        replaced = super().replace(*values, **options)
        return None if replaced is None else replaced.infer_objects()
