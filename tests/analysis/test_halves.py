"""Send and receive halves of low-latency all-to-alls: what may be hidden between them."""

from __future__ import annotations

from itertools import product

import pytest

from dpprof.analysis.observations import HalvesFigures
from dpprof.analysis.overlap.halves import halves_figures

DISPATCH = "void deep_ep::internode_ll::dispatch<true, 3, 10, 7168>(void*)"


def rows_of(order, *, send=20, receive=10, gap=100, name=DISPATCH):
    """Kernels in this order of s and r, with `gap` ns of computing after each, half of it idle."""
    rows, at = [], 0
    for half in order:
        length = send if half == "s" else receive
        rows.append(
            {"rank": 0, "kind": "dispatch", "name": name, "start_ns": at, "end_ns": at + length}
        )
        at += length
        rows.append(
            {"rank": 0, "kind": "compute", "name": "gemm", "start_ns": at, "end_ns": at + gap // 2}
        )
        at += gap
    return [{"lane": "7", **row} for row in rows]


def layers(count):
    """Kernels that come once for a layer: two kinds."""
    computing = {"rank": 0, "kind": "compute", "lane": "7"}
    return [
        computing | {"name": name, "start_ns": 10**6 + n, "end_ns": 10**6 + n + 1}
        for name, n in product(("topk", "experts"), range(count))
    ]


@pytest.mark.parametrize(
    ("order", "between", "possible"),
    [("srsrsrsr", 4 * 100, 4 * 50), ("ssrrssrr", 4 * (2 * 100 + 15), 4 * 2 * 50)],
)
def test_halves_are_paired_as_their_lengths_say(make_run, order, between, possible):
    run = make_run([*rows_of(order), *layers(4)])
    # Between the sends and receives of two calls under way lies a send, or a receive, of the other.
    assert halves_figures(run) == [
        HalvesFigures(
            rank=0, kind="dispatch", calls=4, send_ns=80, receive_ns=40,
            between_ns=between, possible_ns=possible,
        )
    ]  # fmt: skip


COMBINE = DISPATCH.replace("dispatch", "combine")


def in_turn(order):
    """Kernels of both kinds, `order` having D, d, C, c: of a length for each letter."""
    rows = []
    for place, letter in enumerate(order):
        kind = "dispatch" if letter in "Dd" else "combine"
        length = 20 if letter.isupper() else 10
        rows.append(
            {
                "rank": 0, "lane": "7", "kind": kind, "start_ns": 100 * place,
                "end_ns": 100 * place + length, "name": DISPATCH if kind == "dispatch" else COMBINE,
            }
        )  # fmt: skip
    return rows


def test_three_layers_of_halves_are_three_calls(make_run):
    rows = halves_figures(make_run([*in_turn("DdCc" * 3), *layers(3)]))
    assert [(one.kind, one.calls, one.send_ns) for one in rows] == [
        ("combine", 3, 60), ("dispatch", 3, 60),
    ]  # fmt: skip


def test_two_whole_calls_in_a_layer_are_not_its_halves(make_run):
    """Two micro-batches of unlike size share a layer's other kernels: dispatch, combine, again."""
    assert halves_figures(make_run([*in_turn("DCdc" * 4), *layers(4)])) == []


@pytest.mark.parametrize(
    "rows",
    [
        [*rows_of("srsrsrsr"), *layers(8)],  # as many layers as kernels: whole calls
        [*rows_of("srsrsrsr", receive=20), *layers(4)],  # nothing tells the halves apart
        [*rows_of("srs"), *layers(1)],  # an odd number
        [*rows_of("srsrsrsr", name="deep_ep::internode::dispatch"), *layers(4)],
        layers(4),
    ],
)
def test_where_it_cannot_be_told_nothing_is_said(make_run, rows):
    assert halves_figures(make_run(rows)) == []
