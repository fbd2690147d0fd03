"""The order of every schedule: all small sizes proven, small ones compared whole."""

from __future__ import annotations

import pytest

from dpprof.errors import DpprofError
from dpprof.schedules.actions import slot_text
from dpprof.schedules.check import check_schedule
from dpprof.schedules.registry import make_schedule, schedule_names, schedule_summaries

SMALL_SIZES = [(pp, m) for pp in range(1, 7) for m in range(1, 3 * pp + 3)] + [(8, 16), (8, 20)]

ALLOWED = {
    "1f1b": lambda pp, m: True,
    "chimera": lambda pp, m: pp % 2 == 0 and m % 2 == 0,
    "combined-1f1b": lambda pp, m: m % pp == 0,
    "dualpipe": lambda pp, m: pp % 2 == 0 and m % 2 == 0 and m >= 2 * pp,
    "dualpipev": lambda pp, m: m >= 2 * pp,
    "gpipe": lambda pp, m: True,
    "hanayo": lambda pp, m: True,
    "interleaved-1f1b": lambda pp, m: m % pp == 0,
    "looped-bfs": lambda pp, m: True,
    "vhalf": lambda pp, m: True,
    "vmin": lambda pp, m: True,
    "zb1p": lambda pp, m: True,
    "zb2p": lambda pp, m: True,
    "zbv": lambda pp, m: True,
}


def lines(name: str, pp: int, micro_batches: int) -> list[str]:
    schedule = make_schedule(name, pp, micro_batches)
    return [" ".join(map(slot_text, rank)) for rank in schedule.ranks]


def test_names_are_those_of_the_command_line() -> None:
    assert schedule_names() == tuple(sorted(ALLOWED))
    assert all("\n" not in summary and summary for summary in schedule_summaries().values())


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_every_small_size_is_proven_or_refused_by_its_rule(name: str) -> None:
    for pp, micro_batches in SMALL_SIZES:
        if ALLOWED[name](pp, micro_batches):
            check_schedule(make_schedule(name, pp, micro_batches))
        else:
            with pytest.raises(DpprofError, match=f"^{name} with {pp} ranks and {micro_batches} "):
                make_schedule(name, pp, micro_batches)


def test_gpipe() -> None:
    assert lines("gpipe", 2, 2) == ["F0.0 F0.1 B0.0 B0.1"] * 2


def test_one_f_one_b() -> None:
    assert lines("1f1b", 3, 4) == [
        "F0.0 F0.1 F0.2 B0.0 F0.3 B0.1 B0.2 B0.3",
        "F0.0 F0.1 B0.0 F0.2 B0.1 F0.3 B0.2 B0.3",
        "F0.0 B0.0 F0.1 B0.1 F0.2 B0.2 F0.3 B0.3",
    ]


def test_one_f_one_b_with_fewer_micro_batches_than_ranks() -> None:
    assert lines("1f1b", 3, 1) == ["F0.0 B0.0"] * 3


def test_zb1p_holds_weight_gradients_back_by_the_rank() -> None:
    assert lines("zb1p", 3, 4) == [
        "F0.0 F0.1 F0.2 I0.0 W0.0 F0.3 I0.1 W0.1 I0.2 W0.2 I0.3 W0.3",
        "F0.0 F0.1 I0.0 F0.2 I0.1 W0.0 F0.3 I0.2 W0.1 I0.3 W0.2 W0.3",
        "F0.0 I0.0 F0.1 I0.1 F0.2 I0.2 W0.0 F0.3 I0.3 W0.1 W0.2 W0.3",
    ]


def test_interleaved_takes_pp_micro_batches_on_each_chunk_in_turn() -> None:
    assert lines("interleaved-1f1b", 2, 4) == [
        "F0.0 F0.1 F1.0 F1.1 F0.2 B1.0 F0.3 B1.1 F1.2 B0.0 F1.3 B0.1 B1.2 B1.3 B0.2 B0.3",
        "F0.0 F0.1 F1.0 B1.0 F1.1 B1.1 F0.2 B0.0 F0.3 B0.1 F1.2 B1.2 F1.3 B1.3 B0.2 B0.3",
    ]


def test_dualpipe_is_the_published_order() -> None:
    """The eight phases written out for four ranks and eight micro-batches."""
    assert lines("dualpipe", 4, 8) == [
        "F0.0 F0.1 F0.2 F1.0 I1.0 W1.0 F1.1 F0.3&B1.1 F1.2&B0.0 B1.2 F1.3&B0.1 B1.3 I0.2 W0.2 "
        "I0.3 W0.3",
        "F0.0 F1.0 F0.1 F1.1 F0.2 B1.0 F1.2&B0.0 F0.3&B1.1 F1.3&B0.1 B1.2 B0.2 I1.3 I0.3 W1.3 W0.3",
        "F1.0 F0.0 F1.1 F0.1 F1.2 B0.0 F0.2&B1.0 F1.3&B0.1 F0.3&B1.1 B0.2 B1.2 I0.3 I1.3 W0.3 W1.3",
        "F1.0 F1.1 F1.2 F0.0 I0.0 W0.0 F0.1 F1.3&B0.1 F0.2&B1.0 B0.2 F0.3&B1.1 B0.3 I1.2 W1.2 "
        "I1.3 W1.3",
    ]


@pytest.mark.parametrize(("pp", "micro_batches"), [(1, 2), (2, 5), (3, 6), (4, 11)])
def test_dualpipev_is_half_of_dualpipe(pp: int, micro_batches: int) -> None:
    whole = make_schedule("dualpipe", 2 * pp, 2 * micro_batches)
    assert make_schedule("dualpipev", pp, micro_batches).ranks == whole.ranks[:pp]


@pytest.mark.parametrize("name", ["dualpipe", "dualpipev"])
def test_size_rules_of_both_directions_say_what_to_choose(name: str) -> None:
    with pytest.raises(DpprofError, match=r"at least two micro-batches per rank.*choose 16"):
        make_schedule(name, 8, 14)


def test_dualpipe_needs_even_numbers() -> None:
    with pytest.raises(DpprofError, match="number of ranks must be even; choose 4"):
        make_schedule("dualpipe", 3, 8)
    with pytest.raises(DpprofError, match="micro-batches must be even, half each way; choose 10"):
        make_schedule("dualpipe", 4, 9)


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(DpprofError, match=r"did you mean dualpipe\?\); known: 1f1b, chimera, "):
        make_schedule("DualPip", 4, 8)
    with pytest.raises(DpprofError, match="no schedule 'qqqq'; known: 1f1b"):
        make_schedule("qqqq", 4, 8)


@pytest.mark.parametrize(("pp", "micro_batches"), [(0, 4), (4, 0), (-2, 4)])
def test_sizes_below_one_are_refused(pp: int, micro_batches: int) -> None:
    with pytest.raises(DpprofError, match="both must be at least 1"):
        make_schedule("1f1b", pp, micro_batches)


def test_sizes_that_would_fill_the_memory_are_refused() -> None:
    with pytest.raises(DpprofError, match="choose smaller sizes"):
        make_schedule("1f1b", 100_000, 100_000)
