"""The level of detail of a critical path: no more pieces than the picture has columns for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import END, KIND, NAME, RANK, SLOT, START, WHY

PIECES = "pieces"

_SHOWN = [RANK, START, END, KIND, SLOT, NAME, WHY]


def path_bars(path: pd.DataFrame, span: tuple[int, int], columns: int) -> pd.DataFrame:
    """The pieces of a path within ``span`` (nanoseconds on the run's clock), as bars to draw.

    Pieces that fill a column or more stay as they are, cut to the span. The shorter ones of a
    rank in one column become one bar, from the first's start to the last's end, that has the kind
    with most time and counts them in `pieces`. So no piece is lost, and there are at most
    ``columns * (1 + ranks)`` bars.
    """
    start, end = span
    shown = path[(path[END] > start) & (path[START] < end)]
    cut = {START: shown[START].clip(lower=start), END: shown[END].clip(upper=end)}
    shown = shown.assign(**cut).assign(**{PIECES: 1})
    column_ns = max(1, (end - start) / columns)
    short = ((shown[END] - shown[START]) < column_ns).to_numpy(bool)
    middle = ((shown[START] - start) + (shown[END] - start)).to_numpy(np.int64) / 2
    merged = _merged(shown[short], (middle[short] // column_ns).astype(np.int64))
    kept = pd.concat([shown[~short][[*_SHOWN, PIECES]], merged], ignore_index=True)
    return kept.sort_values([START, END], kind="stable", ignore_index=True)


def _merged(short: pd.DataFrame, column: npt.NDArray[np.int64]) -> pd.DataFrame:
    """One row for the pieces of each rank and column: the longest kind's, over all of them."""
    rows = short.assign(column=column, length=short[END] - short[START])
    key = ["column", RANK]
    kinds = rows.groupby([*key, KIND], observed=True)["length"].sum().reset_index()
    most = kinds.sort_values("length", kind="stable").drop_duplicates(key, keep="last")
    whole = rows.groupby(key, as_index=False).agg({START: "min", END: "max", PIECES: "sum"})
    first = rows.sort_values("length", kind="stable").drop_duplicates(key, keep="last")
    texts = first[[*key, SLOT, NAME, WHY]]
    return whole.merge(most[[*key, KIND]], on=key).merge(texts, on=key)[[*_SHOWN, PIECES]]
