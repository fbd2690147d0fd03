"""Tables to Parquet and back, types and all."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.store.parquet import from_parquet, to_parquet
from dpprof.tables.columns import EVENTS, MEMORY, empty_table, make_table

numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-1, 0])
texts = st.sampled_from(["", "stream 7", "gemm<float, 'ä'>", "x" * 300])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 20))
    values: dict[str, object] = {}
    for name, dtype in EVENTS.items():
        if dtype == "int64":
            values[name] = draw(st.lists(numbers, min_size=rows, max_size=rows))
        elif dtype == "category":
            values[name] = draw(st.lists(texts, min_size=rows, max_size=rows))
    return make_table(EVENTS, values)


@settings(deadline=None, max_examples=40)
@given(tables())
def test_a_table_comes_back_as_it_was(table: pd.DataFrame) -> None:
    found = from_parquet(to_parquet(table))
    assert dict(found.dtypes.astype(str)) == EVENTS
    pd.testing.assert_frame_equal(found, table, check_categorical=False)


@pytest.mark.parametrize("columns", [EVENTS, MEMORY])
def test_a_table_without_rows_keeps_its_types(columns: dict[str, str]) -> None:
    found = from_parquet(to_parquet(empty_table(columns)))
    assert (dict(found.dtypes.astype(str)), len(found)) == (columns, 0)


def test_some_columns_can_be_read_alone() -> None:
    table = make_table(EVENTS, {"name": ["a", "b"], "rank": 3})
    found = from_parquet(to_parquet(table), ["rank", "name"])
    assert found.to_dict("list") == {"rank": [3, 3], "name": ["a", "b"]}


def test_what_is_no_such_file_is_refused() -> None:
    content = to_parquet(make_table(EVENTS, {"name": ["a", "b"]}))
    for wrong in (b"", b"PAR1", content[:-20], content[20:]):
        with pytest.raises((ValueError, OSError)):
            from_parquet(wrong)
