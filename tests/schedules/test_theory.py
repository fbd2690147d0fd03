"""Closed forms against a run by dependencies, over random costs and many sizes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.schedules.definition import ChunkCosts
from dpprof.schedules.execution import execute
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import make_schedule, schedule_names
from dpprof.schedules.schedule import Schedule
from dpprof.schedules.theory import chunk_costs, theory

FORMS = {
    "1f1b": ("(PP-1)(F+B)", 1, 8),
    "chimera": ("", 2, 8),
    "combined-1f1b": ("", 2, 8),
    "dualpipe": ("(PP/2-1)(F&B+B-3W)", 2, 8),
    "dualpipev": ("(PP/2-1)(F&B+B-3W)", 2, 8),
    "gpipe": ("(PP-1)(F+B)", 1, 8),
    "hanayo": ("", 4, 8),
    "interleaved-1f1b": ("(PP/2-1)(F+B)", 2, 8),
    "looped-bfs": ("(PP/2-1)(F+B)", 2, 8),
    "vhalf": ("", 2, 8),
    "vmin": ("", 2, 8),
    "zb1p": ("(PP-1)(F+B-2W)", 1, 8),
    "zb2p": ("", 1, 8),
    "zbv": ("", 2, 8),
}
PUBLISHED = {
    "1f1b": lambda pp, c: (pp - 1) * (c["F"] + c["B"]),
    "dualpipe": lambda pp, c: (pp // 2 - 1) * (c["F&B"] + c["B"] - 3 * c["W"]),
    "dualpipev": lambda pp, c: (2 * pp // 2 - 1) * (c["F&B"] + c["B"] - 3 * c["W"]),
    "gpipe": lambda pp, c: (pp - 1) * (c["F"] + c["B"]),
    "interleaved-1f1b": lambda pp, c: (2 * pp // 2 - 1) * (c["F"] + c["B"]),
    "looped-bfs": lambda pp, c: (2 * pp // 2 - 1) * (c["F"] + c["B"]),
    "zb1p": lambda pp, c: (pp - 1) * (c["F"] + c["B"] - 2 * c["W"]),
    **dict.fromkeys(
        ("chimera", "combined-1f1b", "hanayo", "vhalf", "vmin", "zb2p", "zbv"), lambda pp, c: None
    ),
}


def idle(schedule: Schedule, costs: dict[str, int]) -> tuple[int, ...]:
    execution = execute(schedule, costs)
    return tuple(execution.idle(pp_rank) for pp_rank in range(schedule.pp))


@st.composite
def costs_in_ns(draw: st.DrawFn) -> dict[str, int]:
    """Costs of a chunk, often with I = F and with F&B anywhere from max(F, B) to F + B."""
    forward, weights = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    inputs = draw(st.one_of(st.just(forward), st.integers(1, 12)))
    backward = inputs + weights
    pair = draw(st.integers(max(forward, backward), forward + backward))
    return {"F": forward, "B": backward, "I": inputs, "W": weights, "F&B": pair}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(schedule_names()),
    pp=st.sampled_from([2, 4, 8]),
    more=st.integers(0, 3),
    costs=costs_in_ns(),
)
def test_idle_by_rank_is_that_of_a_run(
    name: str, pp: int, more: int, costs: dict[str, int]
) -> None:
    schedule = make_schedule(name, pp, (2 + more) * pp)
    promised = theory(schedule, costs)
    measured = idle(schedule, costs)
    assert promised.bubble.published_ns == PUBLISHED[name](pp, costs)
    assert promised.bubble.ranks_ns in (None, measured)
    holds = tuple(r for r in range(pp) if measured[r] == promised.bubble.published_ns)
    assert promised.exact_ranks == (holds if promised.bubble.ranks_ns is not None else ())


@settings(max_examples=60, deadline=None)
@given(pp=st.sampled_from([2, 3, 4, 8]), costs=costs_in_ns())
def test_zb1p_holds_exactly_while_weights_are_the_shortest(pp: int, costs: dict[str, int]) -> None:
    schedule = make_schedule("zb1p", pp, 2 * pp)
    every = tuple(range(pp))
    shortest = costs["W"] <= min(costs["F"], costs["I"])
    promised = theory(schedule, costs)
    assert promised.exact_ranks == (every if shortest else ())
    assert (promised.bubble.note == "") == shortest


@settings(max_examples=60, deadline=None)
@given(pp=st.sampled_from([4, 8]), costs=costs_in_ns())
def test_dualpipe_holds_on_the_middle_ranks_where_inputs_equal_forward(
    pp: int, costs: dict[str, int]
) -> None:
    exact = theory(make_schedule("dualpipe", pp, 2 * pp), costs).exact_ranks
    if costs["I"] == costs["F"] and costs["W"] <= costs["F"]:
        assert {pp // 2 - 1, pp // 2} <= set(exact)
    elif costs["I"] > costs["F"]:
        assert exact == ()


@pytest.mark.parametrize("name", schedule_names())
def test_form_stages_and_devices(name: str) -> None:
    promised = theory(make_schedule(name, 8, 16), {"F": 1, "I": 1, "W": 1})
    assert (promised.form, promised.stages_per_device, promised.devices) == FORMS[name]


@pytest.mark.parametrize("name", schedule_names())
@pytest.mark.parametrize("pp", [2, 4, 8])
def test_activation_bound_is_reached_and_never_passed(name: str, pp: int) -> None:
    for micro_batches in (2 * pp, 4 * pp):
        schedule = make_schedule(name, pp, micro_batches)
        bound = theory(schedule, {"F": 1, "I": 1, "W": 1}).activation_chunks
        assert max(peak.total for peak in peak_in_flight(schedule)) == bound


def test_zbv_idles_on_the_way_to_the_last_rank_where_all_parts_are_equal() -> None:
    promised = theory(make_schedule("zbv", 4, 8), {"F": 5, "I": 5, "W": 5})
    assert promised.bubble.published_ns is None
    assert promised.bubble.ranks_ns == (15, 15, 15, 15)
    assert promised.exact_ranks == ()


def test_unknown_schedule_promises_nothing_and_says_so() -> None:
    known = make_schedule("1f1b", 4, 8)
    schedule = Schedule("home-made", known.micro_batches, known.placement, known.ranks)
    promised = theory(schedule, {"F": 1, "B": 2})
    assert promised.bubble == (None, None, "no closed form is known for schedule 'home-made'")
    assert (promised.activation_chunks, promised.devices) == (4, 4)


def test_costs_left_out_are_filled_up() -> None:
    assert chunk_costs({"F": 3, "B": 5}) == ChunkCosts(3, 5, 5, 0, 8)
    assert chunk_costs({"F": 3, "I": 2, "W": 4}) == ChunkCosts(3, 6, 2, 4, 9)
    assert chunk_costs({"F": 3, "B": 7, "W": 4, "F&B": 8}) == ChunkCosts(3, 7, 3, 4, 8)
    assert chunk_costs({"F": 3, "B": 7, "I": 5}) == ChunkCosts(3, 7, 5, 2, 10)


@pytest.mark.parametrize("costs", [{}, {"F": 1}, {"B": 2}, {"F&B": 3}])
def test_costs_that_say_too_little_are_refused(costs: dict[str, int]) -> None:
    with pytest.raises(DpprofError, match="give at least F, and B or both I and W"):
        chunk_costs(costs)


@pytest.mark.parametrize("pp", [4, 8, 16])
def test_v_schedules_hold_the_share_of_1f1b_that_they_are_made_for(pp: int) -> None:
    """1F1B holds PP chunks, which are 2 PP of a V's half-length ones."""

    def share(name: str) -> float:
        schedule = make_schedule(name, pp, 4 * pp)
        return max(peak.total for peak in peak_in_flight(schedule)) / (2 * pp)

    assert share("vmin") <= 1 / 3 + 1.5 / pp
    assert share("vhalf") <= 1 / 2 + 2 / pp
    assert share("zbv") == 1


@pytest.mark.parametrize(("pp", "micro_batches"), [(2, 8), (4, 12), (8, 40)])
def test_combined_1f1b_overlaps_all_forwards_but_its_warm_up(pp: int, micro_batches: int) -> None:
    plain = make_schedule("interleaved-1f1b", pp, micro_batches)
    combined = make_schedule("combined-1f1b", pp, micro_batches)
    for pp_rank in range(pp):
        before = [slot[0].operation for slot in plain.ranks[pp_rank]].index("B")
        slots = combined.ranks[pp_rank]
        assert [len(slot) for slot in slots[: before + 1]] == [1] * before + [2]
        assert sum(len(slot) == 2 for slot in slots) == 2 * micro_batches - before


@pytest.mark.parametrize(("micro_batches", "chunks"), [(1, 2), (2, 4), (4, 8), (6, 8)])
def test_zbv_holds_no_more_chunks_than_there_are(micro_batches: int, chunks: int) -> None:
    schedule = make_schedule("zbv", 4, micro_batches)
    assert theory(schedule, {"F": 1, "I": 1, "W": 1}).activation_chunks == chunks
