"""Rows of a big table in blocks, so that what is made for a block takes memory for that alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST_ROWS = 1_000_000
"""Rows of a block, unless one group has more; grouping them takes about 200 bytes each."""

Rows = npt.NDArray[np.intp]


def row_blocks(groups: pd.Series[Any] | npt.NDArray[Any]) -> Iterator[Rows]:
    """Positions of all rows in blocks of about `MOST_ROWS`, all rows of a group in the same one.

    Rows of a block are in their order; a table of no more rows is one block.
    """
    most = MOST_ROWS
    if len(groups) <= most:
        yield np.arange(len(groups), dtype=np.intp)
        return
    codes, values = pd.factorize(groups, use_na_sentinel=False)
    counts = np.bincount(codes, minlength=len(values))
    block = ((np.cumsum(counts) - counts) // most)[codes]
    order = np.argsort(block, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
