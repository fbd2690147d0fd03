"""Which operations computing hides: by hand, and against counting at every nanosecond."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.analysis.overlap.by_operation import MOST_OPERATIONS, exposure
from dpprof.analysis.report.analyze import analyze
from dpprof.tables.columns import EXPOSURE, OPERATIONS

TIMES = ["total_ns", "hidden_ns", "exposed_ns", "wait_ns"]


def times(table: Any, *keys: str) -> list[tuple[Any, ...]]:
    return list(table[[*keys, *TIMES]].itertuples(index=False, name=None))


def test_operations_that_are_alike_add_up_over_the_steps(make_run, event) -> None:
    labels = {"operation": "F", "part": "F", "component": "dispatch", "slot": "F0.0"}
    run = make_run(
        [
            event(0, 0, 10, step=1),
            event(0, 4, 20, "dispatch", step=1, ready_ns=6, layer=0, **labels),
            event(0, 100, 110, step=2),
            event(0, 105, 112, "dispatch", step=2, ready_ns=90, layer=0, **labels),
            event(0, 112, 113, "dispatch", step=2, ready_ns=112, layer=1, **labels),
        ],
        used_steps=(1, 2),
    )
    found = exposure(run)
    assert list(found.table) == list(EXPOSURE)
    assert list(found.longest) == list(OPERATIONS)
    assert times(found.table, "operation", "layer", "count") == [
        ("F", 0, 2, 14 + 7, 4 + 5, 10 + 2, 2),
        ("F", 1, 1, 1, 0, 1, 0),
    ]
    assert times(found.longest, "step", "start_ns", "slot") == [
        (1, 4, "F0.0", 14, 4, 10, 2),
        (2, 105, "F0.0", 7, 5, 2, 0),
        (2, 112, "F0.0", 1, 0, 1, 0),
    ]


def test_an_instant_belongs_to_the_operation_that_transfers_first(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10, "dispatch", name="a", ready_ns=4),
            event(0, 2, 12, "dispatch", name="b", ready_ns=0),
            event(0, 11, 20),
        ]
    )
    assert times(exposure(run).table, "name") == [("a", 0, 0, 0, 4), ("b", 10, 1, 9, 0)]


def test_waiting_that_is_not_known_stays_so(make_run, event) -> None:
    run = make_run(
        [
            event(0, 0, 10, "dispatch", name="a", ready_ns=4),
            event(0, 10, 20, "dispatch", name="b"),
            event(0, 30, 40, "combine", name="c", ready_ns=34),
        ]
    )
    assert times(exposure(run).table, "name") == [
        ("a", 6, 0, 6, 4),
        ("b", 10, 0, 10, -1),
        ("c", 6, 0, 6, 4),
    ]


def test_an_operation_is_found_again_among_those_that_start_with_it(make_run, event) -> None:
    run = make_run(
        [
            event(0, 5, 9, "combine"),
            event(0, 0, 3),
            event(0, 5, 6),
            event(0, 0, 1, "dispatch"),
            event(0, 5, 8, "dispatch"),
        ]
    )
    longest = exposure(run).longest.query("exposed_ns > 0")
    assert longest[["start_ns", "end_ns", "number"]].to_numpy().tolist() == [[5, 9, 0], [5, 8, 2]]


def test_nothing_communicated_gives_empty_tables(make_run, event) -> None:
    found = exposure(make_run([event(0, 0, 10)]))
    assert (len(found.table), len(found.longest)) == (0, 0)
    assert list(found.table) == list(EXPOSURE)
    assert list(found.longest) == list(OPERATIONS)


def test_only_the_most_exposed_operations_are_listed(make_run, event) -> None:
    count = MOST_OPERATIONS + 5
    events = [event(0, 1000 * i, 1000 * i + 1 + i, "dispatch") for i in range(count)]
    found = exposure(make_run(events))
    assert found.longest.exposed_ns.tolist() == list(range(count, 5, -1))
    assert found.table["count"].tolist() == [count]


def test_the_longest_of_each_kind_are_listed_though_others_expose_more(make_run, event) -> None:
    many = MOST_OPERATIONS + 5
    combines = [event(0, 1000 * i, 1000 * i + 500, "combine") for i in range(2 * many)]
    start = 2000 * many
    hidden = [event(0, start + 100 * i, start + 100 * i + 10 + i, "dispatch") for i in range(many)]
    found = exposure(make_run([*combines, *hidden, event(0, start, start + 100 * many)])).longest
    listed = found[found.kind == "dispatch"].total_ns.tolist()
    assert sorted(listed) == list(range(10 + many - MOST_OPERATIONS, 10 + many))
    assert (found.kind == "combine").sum() == MOST_OPERATIONS


spans = st.tuples(st.integers(0, 30), st.integers(0, 12))
communications = st.tuples(
    spans, st.sampled_from(["dispatch", "combine"]), st.integers(-1, 40), st.integers(0, 1)
)


@settings(max_examples=60)
@given(
    computing=st.lists(spans, max_size=5),
    fused=st.lists(spans, max_size=2),
    moving=st.lists(communications, min_size=1, max_size=6),
)
def test_against_counting_at_every_nanosecond(make_run, event, computing, fused, moving) -> None:
    events = [event(0, start, start + length) for start, length in computing]
    events += [event(0, start, start + length, "fused") for start, length in fused]
    events += [
        event(0, start, start + length, kind, name=str(number), ready_ns=ready, layer=layer)
        for number, ((start, length), kind, ready, layer) in enumerate(moving)
    ]
    run = make_run(events)
    found = {
        str(row.name_): row
        for row in exposure(run).table.rename(columns={"name": "name_"}).itertuples()
    }
    expected = _brute_force(computing, fused, moving)
    assert {name: (row.hidden_ns, row.exposed_ns, row.wait_ns) for name, row in found.items()} == (
        expected
    )
    by_kind = analyze(run).ranks[0].by_kind
    for kind, figures in by_kind.items():
        rows = [row for row in found.values() if row.kind == kind]
        assert sum(row.hidden_ns for row in rows) == figures.hidden_ns
        assert sum(row.exposed_ns for row in rows) == figures.exposed_ns
        if figures.wait_ns is not None:
            assert sum(max(0, row.wait_ns) for row in rows) == figures.wait_ns


def _brute_force(computing: Any, fused: Any, moving: Any) -> dict[str, tuple[int, int, int]]:
    sums = {str(number): [0, 0, 0] for number in range(len(moving))}
    for instant in range(60):
        computes = any(start <= instant < start + length for start, length in computing)
        in_one = any(start <= instant < start + length for start, length in fused)
        for kind in {kind for _, kind, _, _ in moving}:
            transferring, waiting = [], []
            for number, ((start, length), own, ready, _) in enumerate(moving):
                if own != kind:
                    continue
                since = min(max(start, ready if ready >= 0 else start), start + length)
                if since <= instant < start + length:
                    transferring.append((since, start + length, start, number))
                elif start <= instant < since:
                    waiting.append((start, since, number))
            if transferring and not in_one:
                sums[str(_first(transferring))][0 if computes else 1] += 1
            if waiting:
                sums[str(_first(waiting))][2] += 1
    return {
        name: (hidden, exposed, -1 if moving[int(name)][2] < 0 else wait)
        for name, (hidden, exposed, wait) in sums.items()
    }


def _first(candidates: list[tuple[int, ...]]) -> int:
    return min(candidates)[-1]
