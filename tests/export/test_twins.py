"""Exposed time and arrows against brute force on random events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.export.arrows import arrows
from dpprof.export.exposed import exposed_intervals
from dpprof.tables.columns import EVENTS, make_table
from dpprof.tables.kinds import COMMUNICATION_KINDS

KINDS = ("compute", "p2p", "dispatch", "all_reduce", "memory")


def events_table(rows):
    names = {name for row in rows for name in row}
    return make_table(EVENTS, {name: [row[name] for row in rows] for name in names})


one_event = st.fixed_dictionaries(
    {
        "start_ns": st.integers(0, 20),
        "length": st.integers(0, 8),
        "kind": st.sampled_from(KINDS),
        "wait": st.integers(-1, 6),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(one_event, min_size=1, max_size=12))
def test_exposed_is_the_first_kind_under_way_where_nothing_computes(drawn):
    rows = [
        {
            "start_ns": one["start_ns"],
            "end_ns": one["start_ns"] + one["length"],
            "kind": one["kind"],
            "ready_ns": -1 if one["wait"] < 0 else one["start_ns"] + one["wait"],
        }
        for one in drawn
    ]

    def under_way(at):
        moving = [row for row in rows if row["start_ns"] <= at < row["end_ns"]]
        return {row["kind"] for row in moving if row["ready_ns"] <= at}

    computing = {
        at
        for row in rows
        if row["kind"] == "compute"
        for at in range(row["start_ns"], row["end_ns"])
    }
    expected = {
        kind: set() for kind in COMMUNICATION_KINDS if kind in {row["kind"] for row in rows}
    }
    for at in set(range(40)) - computing:
        first = next((kind for kind in COMMUNICATION_KINDS if kind in under_way(at)), None)
        if first is not None:
            expected[first].add(at)
    found = {
        kind: {at for start, end in zip(*spans, strict=True) for at in range(start, end)}
        for kind, spans in exposed_intervals(events_table(rows)).items()
    }
    assert found == expected


message = st.fixed_dictionaries(
    {
        "rank": st.integers(0, 2),
        "group": st.sampled_from(["0>1", "1>2", "dp", ""]),
        "kind": st.sampled_from(["p2p", "all_reduce"]),
        "sequence": st.integers(-1, 1),
        "start_ns": st.integers(0, 5),
        "length": st.integers(0, 5),
        "ready_ns": st.integers(-1, 5),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(message, min_size=1, max_size=10))
def test_arrows_join_what_was_matched_and_never_go_back_in_time(drawn):
    # A rank takes part in an operation once.
    unique = {(one["rank"], one["group"], one["kind"], one["sequence"]): one for one in drawn}
    rows = [one | {"end_ns": one["start_ns"] + one["length"], "step": 0} for one in unique.values()]
    for row in rows:
        row.pop("length")
    expected, late = set(), set()
    for source, sent in enumerate(rows):
        for target, got in enumerate(rows):
            same = all(sent[name] == got[name] for name in ("group", "kind", "sequence"))
            filled = all(row["end_ns"] > row["start_ns"] for row in (sent, got))
            if source == target or not same or not filled or not sent["group"]:
                continue
            if sent["sequence"] < 0:
                continue
            if sent["kind"] == "p2p":
                joined = sent["group"] == f"{sent['rank']}>{got['rank']}"
            else:
                joined = sent["ready_ns"] == got["ready_ns"] == sent["start_ns"] and source == min(
                    index
                    for index, row in enumerate(rows)
                    if row["start_ns"] == row["ready_ns"] == sent["ready_ns"]
                    and row["end_ns"] > row["start_ns"]
                    and all(row[name] == sent[name] for name in ("group", "kind", "sequence"))
                )
            if joined and sent["start_ns"] < got["end_ns"]:
                expected.add((source, target))
            elif joined and sent["kind"] == "p2p":
                late.add((source, target))
    found = arrows(events_table(rows))
    assert set(map(tuple, found.sound.tolist())) == expected
    assert set(map(tuple, found.late.tolist())) == late
