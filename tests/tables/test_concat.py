"""Tables joined, their categories too."""

from __future__ import annotations

from dpprof.tables.columns import SLOTS, empty_table, make_table
from dpprof.tables.concat import concat_tables


def slots(rank: int, *texts: str):
    return make_table(SLOTS, {"rank": [rank] * len(texts), "slot": list(texts)})


def test_tables_without_rows_join_any_others() -> None:
    tables = [empty_table(SLOTS), slots(1, "F0.0", "B0.0"), slots(2, "F0.1"), slots(3)]
    joined = concat_tables(SLOTS, tables)
    assert joined["slot"].tolist() == ["F0.0", "B0.0", "F0.1"]
    assert joined["rank"].tolist() == [1, 1, 2]
    assert dict(joined.dtypes.astype(str)) == SLOTS
    for nothing in ([], [empty_table(SLOTS)], [slots(0), empty_table(SLOTS)]):
        assert dict(concat_tables(SLOTS, nothing).dtypes.astype(str)) == SLOTS
        assert concat_tables(SLOTS, nothing).empty
