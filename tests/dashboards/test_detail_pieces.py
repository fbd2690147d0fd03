"""Pieces of a lane against their brute-force twin: every instant of random events."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dpprof.dashboards.detail.index import lane_names
from dpprof.dashboards.detail.names import CODES, NAMES, UNKNOWN
from dpprof.dashboards.detail.pieces import RankColumns, bubble_pieces, lane_pieces, slot_pieces
from dpprof.tables.columns import EVENTS, REGIONS, SLOTS, make_table

KINDS = ("compute", "p2p", "dispatch")


@st.composite
def some_events(draw):
    def event():
        start, length = draw(st.integers(0, 40)), draw(st.integers(0, 12))
        kind = draw(st.sampled_from(KINDS))
        ready = draw(st.none() | st.integers(0, 55)) if kind != "compute" else None
        return start, start + length, kind, -1 if ready is None else ready

    return [event() for _ in range(draw(st.integers(0, 12)))]


def table_of(events):
    names = ("start_ns", "end_ns", "kind", "ready_ns")
    columns = zip(*events, strict=True) if events else [[] for _ in names]
    return make_table(EVENTS, dict(zip(names, map(list, columns), strict=True)))


def moves_from(start, end, kind, ready):
    return min(max(start, ready), max(start, end)) if kind != "compute" and ready >= 0 else start


def shown_at(events, instant):
    """What moves, of that what began to first; else waiting; else nothing."""
    moving = [
        (moves_from(*event), event[1], number, event[2])
        for number, event in enumerate(events)
        if moves_from(*event) <= instant < event[1]
    ]
    if moving:
        return min(moving)[-1]
    waits = any(event[0] <= instant < moves_from(*event) for event in events)
    return "wait" if waits else ""


@given(some_events())
def test_every_instant_shows_what_is_strongest(events):
    pieces = lane_pieces(RankColumns.of(table_of(events)))
    shown = [""] * 60
    for start, end, code in zip(pieces.starts, pieces.ends, pieces.codes["kind"], strict=True):
        for instant in range(start, end):
            assert shown[instant] == ""
            shown[instant] = NAMES[code]
    assert shown == [shown_at(events, instant) for instant in range(60)]
    assert (np.diff(pieces.starts) > 0).all()


def test_colours_fall_back_to_the_kind():
    table = make_table(
        EVENTS,
        {
            "start_ns": [0, 1, 2, 3],
            "end_ns": [1, 2, 3, 4],
            "kind": ["compute", "compute", "dispatch", "memory"],
            "operation": ["F&B", "B", "", ""],
            "part": ["W", "", "F", ""],
            "component": ["mlp", "strange", "dispatch", ""],
        },
    )
    codes = {
        name: [NAMES[code] for code in codes] for name, codes in RankColumns.of(table).codes.items()
    }
    assert codes == {
        "operation": ["W", "B", "F", "memory"],
        "kind": ["compute", "compute", "dispatch", "memory"],
        "component": ["mlp", "compute", "dispatch", "memory"],
    }


def test_a_kind_of_ones_own_is_drawn_as_other():
    table = make_table(EVENTS, {"start_ns": [0], "end_ns": [1], "kind": ["mine"]})
    assert RankColumns.of(table).codes["kind"].tolist() == [CODES[UNKNOWN]]


def test_slots_and_bubbles_keep_their_names():
    slots = make_table(
        SLOTS,
        {
            "start_ns": [5, 0],
            "end_ns": [9, 5],
            "slot": ["F0.1&B1.0", "F0.0"],
            "operation": ["F&B", "F"],
        },
    )
    pieces = slot_pieces(slots)
    assert pieces.texts.tolist() == ["F0.0", "F0.1&B1.0"]
    assert [NAMES[code] for code in pieces.codes["operation"]] == ["F", "F&B"]
    regions = make_table(REGIONS, {"start_ns": [3], "end_ns": [4], "state": ["bubble.host"]})
    found = bubble_pieces(regions)
    assert [NAMES[code] for code in found.codes["kind"]] == ["bubble.host"]


def test_lanes_by_role_and_by_stream():
    events = pd.DataFrame(
        {
            "kind": ["compute", "memory", "p2p", "combine"],
            "lane": ["stream 7", "stream 7", "recv <0", "stream 9"],
        }
    ).astype("category")
    assert lane_names(events, "together").tolist() == ["compute", "compute", "p2p", "communication"]
    assert lane_names(events, "streams").tolist() == ["stream 7", "stream 7", "recv <0", "stream 9"]
