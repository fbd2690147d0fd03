"""What waits for a communication, against a plain recursion and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.critical_path.walk import critical_path
from dpprof.analysis.events.awaited import NEVER, awaited_from
from dpprof.analysis.report.analyze import analyze
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS, WAITS, make_table

Row = tuple[str, str, int, int, int]  # lane, kind, launch, start, end


def events_of(rows: list[Row], rank: int = 0) -> pd.DataFrame:
    lane, kind, launch, start, end = (list(one) for one in zip(*rows, strict=True))
    return make_table(
        EVENTS,
        {
            "rank": rank, "lane": lane, "kind": kind, "launch_ns": launch, "start_ns": start,
            "end_ns": end, "name": kind, "step": 0, "correlation": 1,
        },
    )  # fmt: skip


def waits_of(pairs: list[tuple[int, int]]) -> pd.DataFrame:
    return make_table(
        WAITS,
        {"rank": 0, "waiting": [one for one, _ in pairs], "awaited": [one for _, one in pairs]},
    )


def run_of(rows: list[Row], pairs: list[tuple[int, int]] | None) -> Run:
    return Run(
        name="run", source="captured", events=events_of(rows),
        places=(RankPlace(rank=0, pp_rank=0),),
        waits=None if pairs is None else waits_of(pairs),
        knows_waits=[] if pairs is None else [0],
    )  # fmt: skip


LATER = [
    ("stream 7", "compute", 0, 0, 40),
    ("stream 9", "p2p", 0, 10, 60),
    ("stream 7", "compute", 30, 60, 80),  # waits for the message from 40 on
    ("stream 9", "p2p", 0, 80, 100),  # nobody waits for it
]


def test_what_nobody_waits_for_is_exposed_and_blocks_nobody() -> None:
    (rank,) = analyze(run_of(LATER, [(2, 1)])).ranks
    assert (rank.exposed_ns, rank.blocking_ns) == (40, 20)
    assert rank.by_kind["p2p"].blocking_ns == 20


def test_a_late_launch_waits_for_nothing_before_it() -> None:
    rows = [*LATER[:2], ("stream 7", "compute", 55, 60, 80)]
    assert analyze(run_of(rows, [(2, 1)])).ranks[0].blocking_ns == 5


def test_without_waits_in_the_trace_blocking_is_not_known() -> None:
    report = analyze(run_of(LATER, None))
    assert (report.ranks[0].blocking_ns, report.total.blocking_ns) == (None, None)


def test_what_blocks_may_be_hidden_under_other_work() -> None:
    rows = [*LATER[:3], ("stream 8", "compute", 0, 0, 70)]
    (rank,) = analyze(run_of(rows, [(2, 1)])).ranks
    assert (rank.exposed_ns, rank.blocking_ns) == (0, 20)


def test_a_message_in_front_of_the_one_that_is_awaited_blocks_too() -> None:
    rows = [
        ("stream 9", "p2p", 0, 0, 50),
        ("stream 9", "all_reduce", 0, 50, 60),
        ("stream 7", "compute", 5, 60, 70),
    ]
    kinds = analyze(run_of(rows, [(2, 1)])).ranks[0].by_kind
    assert (kinds["p2p"].blocking_ns, kinds["all_reduce"].blocking_ns) == (45, 10)


def test_the_path_follows_what_was_needed_and_not_what_ended_last() -> None:
    rows = [
        ("stream 7", "compute", 0, 0, 30),
        ("stream 9", "all_reduce", 0, 0, 40),
        ("stream 8", "compute", 0, 0, 41),  # ends last, and nobody needs it
        ("stream 7", "compute", 0, 41, 90),
    ]
    kinds = ["all_reduce", "idle", "compute"]
    path = critical_path(run_of(rows, [(3, 1)]))
    assert path["kind"].astype(str).tolist() == kinds
    assert critical_path(run_of(rows, None))["lane"].astype(str).tolist()[0] == "stream 8"


def plain(rows: list[Row], pairs: set[tuple[int, int]]) -> list[int]:
    """The definition, one activity after another."""
    count = range(len(rows))
    order = sorted(count, key=lambda one: rows[one][3])
    needs = {one: {other for first, other in pairs if first == one} for one in count}
    for lane in {row[0] for row in rows}:
        own = [one for one in order if rows[one][0] == lane]
        for before, after in pairwise(own):
            needs[after].add(before)
    moving = [row[1] != "compute" for row in rows]
    passing = list(moving)
    for lane in {row[0] for row in rows}:
        own = [one for one in count if rows[one][0] == lane]
        spent = sum(rows[one][4] - rows[one][3] for one in own)
        moved = sum(rows[one][4] - rows[one][3] for one in own if moving[one])
        for one in own:
            passing[one] = passing[one] or 2 * moved > spent
    found = [NEVER] * len(rows)

    def usable(one: int) -> Iterator[int]:
        return (other for other in needs[one] if rows[other][4] <= rows[one][3])

    def ready(one: int) -> int:
        done = [
            rows[other][4]
            for other in usable(one)
            if not moving[other] and not (passing[other] and not passing[one])
        ]
        return max([rows[one][2], *done])

    def ask(one: int, since: int) -> None:
        for other in usable(one):
            if passing[other] and rows[other][4] > since:
                found[other] = min(found[other], max(since, rows[other][3]))
                ask(other, max(since, ready(other)))

    for one in count:
        if not passing[one]:
            ask(one, ready(one))
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], set[tuple[int, int]]]:
    rows: list[Row] = []
    ends = {"a": 0, "b": 0, "c": 0}
    for _ in range(draw(st.integers(1, 12))):
        lane = draw(st.sampled_from("abc"))
        start = ends[lane] + draw(st.integers(0, 6))
        ends[lane] = start + draw(st.integers(1, 6))
        kind = draw(st.sampled_from(["compute", "p2p", "all_reduce"]))
        rows.append((lane, kind, start - draw(st.integers(0, 9)), start, ends[lane]))
    rows = [(lane, kind, max(launch, 0), start, end) for lane, kind, launch, start, end in rows]
    possible = [
        (one, other)
        for one, row in enumerate(rows)
        for other, before in enumerate(rows)
        if before[0] != row[0] and before[4] <= row[3]
    ]
    pairs = draw(st.sets(st.sampled_from(possible), max_size=8)) if possible else set()
    return rows, pairs


@settings(max_examples=60, deadline=None)
@given(histories())
def test_it_is_the_definition(history: tuple[list[Row], set[tuple[int, int]]]) -> None:
    rows, pairs = history
    assert awaited_from(events_of(rows), waits_of(sorted(pairs))).tolist() == plain(rows, pairs)


@settings(max_examples=15, deadline=None)
@given(histories())
def test_blocking_is_part_of_the_transfer(history: tuple[list[Row], set[tuple[int, int]]]) -> None:
    rows, pairs = history
    run = run_of(rows, sorted(pairs))
    (rank,) = analyze(run).ranks
    for kind in rank.by_kind.values():
        assert 0 <= (kind.blocking_ns or 0) <= kind.total_ns
    without = analyze(replace(run, knows_waits=frozenset()))
    assert without.ranks[0].states_ns == rank.states_ns
