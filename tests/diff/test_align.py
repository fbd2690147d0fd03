"""Work finds its twin: across schedules, stages, ranks and levels of detail."""

from __future__ import annotations

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.work_accounts import account_with_cells
from dpprof.analysis.diff.work_labels import Labels
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.registry import make_schedule

_ALL = ["stage", "micro_batch", "operation", "component", "layer"]


def test_micro_batches_of_the_second_direction_come_after_those_of_the_first(simulated):
    labels = Labels.of(simulated("dualpipe", 4, 8))
    assert [labels.micro_batch(0, 3), labels.micro_batch(1, 0), labels.micro_batch(1, 3)] == [
        3,
        4,
        7,
    ]
    assert [labels.stage(0, 0), labels.stage(0, 1), labels.stage(3, 1)] == [0, 3, 0]
    folded = Labels.of(simulated("dualpipev", 2, 8))
    assert [folded.micro_batch(1, 3), folded.stage(0, 1), folded.stage(1, 1)] == [3, 3, 2]


def test_stages_are_those_of_the_places_where_there_is_no_schedule(make_run, event):
    places = [RankPlace(rank=2, pp_rank=0, stages=[5, 7])]
    labels = Labels.of(make_run([event(2, 0, 1)], places=places))
    assert [labels.stage(2, 1), labels.stage(2, 2), labels.stage(0, 0)] == [7, -1, -1]
    assert labels.micro_batch(1, 3) == 3


@pytest.mark.parametrize("other", ["dualpipe", "zb1p"])
def test_another_schedule_does_the_same_work(simulated, diffs, other):
    """All costs are equal, so that only waiting and hiding can change."""
    diff = diff_runs(simulated("1f1b", 4, 8), simulated(other, 4, 8))
    assert diff.alignment.by == _ALL
    assert diff.alignment.note == ""
    computing = diff.work.base_ns
    assert diffs.times(diff.work) == {"same work": (computing, computing)}
    for kind in ("dispatch", "combine"):
        transfers = diffs.find(diff.time, "exposed", f"exposed.{kind}", "transfers")
        assert [part.name for part in transfers.parts] == ["same work"]
        assert transfers.change_ns == 0
    assert {slot.presence for slot in diff.slots.rows} == {"both"}


def test_half_of_a_rank_moves_where_dualpipe_shares_out_micro_batches(simulated, diffs):
    """Rank 0 keeps half of stage 0's micro-batches, and does half of stage 3's."""
    diff = diff_runs(simulated("1f1b", 4, 8), simulated("dualpipe", 4, 8))
    half = diff.ranks[0].work.base_ns // 2
    assert diffs.times(diff.ranks[0].work) == {
        "same work": (half, half),
        "moved in": (0, half),
        "moved out": (half, 0),
    }
    slot = next(one for one in diff.slots.rows if (one.stage, one.micro_batch) == (0, 4))
    assert (slot.base_ranks, slot.new_ranks) == ([0], [3])


def test_a_split_backward_is_that_backward_where_parts_are_not_known(simulated, diffs):
    diff = diff_runs(simulated("1f1b", 4, 8, "unit"), simulated("zb1p", 4, 8, "unit"))
    assert diff.alignment.by == ["stage", "micro_batch", "operation"]
    assert {slot.operation for slot in diff.slots.rows} == {"F", "B"}
    assert diffs.times(diff.work) == {"same work": (diff.work.base_ns, diff.work.base_ns)}
    split = next(one for one in diff.slots.rows if (one.stage, one.operation) == (0, "B"))
    number = split.micro_batch
    assert (split.base_slot, split.new_slot) == (f"B0.{number}", f"I0.{number}, W0.{number}")


def test_pairs_that_nothing_takes_apart_are_compared_with_their_parts(simulated, diffs):
    base, new = simulated("1f1b", 4, 8, "unit"), simulated("dualpipe", 4, 8, "unit")
    diff = diff_runs(base, new)
    assert "overlapped pairs" in diff.alignment.note
    assert [part.name for part in diff.work.parts] == ["same work"]
    pairs = [one for one in diff.slots.rows if one.operation == "F&B"]
    assert pairs
    assert all(one.presence == "both" for one in diff.slots.rows)
    sums = sum(one.base_ns for one in diff.slots.rows) + diff.slots.others.base_ns
    assert sums == diff.work.base_ns


def test_more_micro_batches_are_work_that_appeared(simulated, diffs):
    diff = diff_runs(simulated("1f1b", 2, 4), simulated("1f1b", 2, 6))
    each = diff.work.base_ns // 4
    assert diffs.times(diff.work) == {
        "same work": (4 * each, 4 * each),
        "added": (0, 2 * each),
    }
    assert {one.micro_batch for one in diff.slots.rows if one.presence == "added"} == {4, 5}


def test_layers_are_numbered_through_a_model_that_is_cut_otherwise(simulated, diffs):
    """Four stages on two ranks that hold two each, or two stages: half of the model."""
    base, new = simulated("dualpipev", 2, 8), simulated("1f1b", 2, 8)
    diff = diff_runs(base, new)
    assert diff.alignment.by == ["micro_batch", "operation", "component", "layer"]
    assert diff.alignment.note == (
        "the model is cut into 4 and 2 stages: layers are numbered through it; it has 8 layers in "
        "BASE and 4 in NEW"
    )
    assert diff.stages == []
    half = diff.work.new_ns
    assert diffs.times(diff.work) == {"same work": (half, half), "removed": (half, 0)}


def test_calls_of_unlabelled_kernels_are_counted(make_run, event, diffs):
    def run(*lengths):
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        rows = zip(starts, lengths, strict=True)
        return make_run([event(0, at, at + length, name="add") for at, length in rows])

    diff = diff_runs(run(10, 20), run(10, 20, 30, 40))
    assert diff.alignment.by == []
    assert diffs.times(diff.work) == {"same work": (30, 50), "added": (0, 50)}
    back = diff_runs(run(10, 20, 30, 40), run(10, 20))
    assert diffs.times(back.work) == {"same work": (50, 30), "removed": (50, 0)}


def test_labelled_work_is_the_same_however_long_it_takes(make_run, event, diffs):
    def run(length, name):
        labels = {"operation": "F", "micro_batch": 0, "direction": 0, "stage": 0, "slot": "F0.0"}
        rows = [event(0, 0, length, name=name, **labels), event(0, length, length + 5, name="adam")]
        return make_run(rows)

    diff = diff_runs(run(10, "a"), run(25, "b"))
    assert diff.alignment.by == ["stage", "micro_batch", "operation"]
    assert diffs.times(diff.work) == {"same work": (15, 30)}
    assert diffs.times(diffs.find(diff.work, "same work")) == {"F": (10, 25), "adam": (5, 5)}
    assert diff.slots.rows[0].change_ns == 15
    assert {(row.title, row.presence) for row in diff.kernels.rows} == {
        ("a", "removed"),
        ("b", "added"),
        ("adam", "both"),
    }


def test_labels_on_one_side_only_leave_the_kernels_names(make_run, event, diffs):
    labels = {"operation": "F", "micro_batch": 0, "slot": "F0.0"}
    base = make_run([event(0, 0, 10, name="add", **labels)])
    diff = diff_runs(base, make_run([event(0, 0, 30, name="add")]))
    assert diff.alignment.by == []
    assert diffs.times(diff.work) == {"same work": (10, 30)}
    assert diff.slots.rows == []


def test_cells_say_in_which_slots_work_ran(simulated):
    run = simulated("dualpipe", 2, 4)
    slots = account_with_cells(run)[1].slots
    rank = slots[(slots["rank"] == 1) & (slots["micro_batch"] == 2)]
    expected = {"F1.0"} | {
        "&".join(map(str, slot))
        for slot in make_schedule("dualpipe", 2, 4).ranks[1]
        if any(action.direction == 1 and action.micro_batch == 0 for action in slot)
    }
    assert set(rank["slot"]) == expected


def test_what_a_pair_sends_is_compared_with_what_its_parts_send(make_run, event, diffs):
    """A pair of stage 0's F and stage 1's B, of which the trace tells no activity apart."""
    places = [RankPlace(rank=0, pp_rank=0, stages=[0, 1])]

    def rows(start, direction, operation):
        action = {"operation": operation, "direction": direction, "stage": direction}
        labels = action | {"micro_batch": 0, "slot": f"{operation}{direction}.0"}
        compute = event(0, start, start + 10, name="k", **labels)
        return [compute, event(0, start + 10, start + 15, "dispatch", name="d", **labels)]

    base = make_run([*rows(0, 0, "F"), *rows(15, 1, "B")], places=places)
    unknown = {"direction": -1, "stage": -1, "micro_batch": -1, "slot": "F0.0&B1.0"}
    new = make_run([row | unknown for row in rows(0, 0, "F&B")], places=places)
    diff = diff_runs(base, new)
    assert diffs.times(diff.work) == {"same work": (20, 10)}
    transfers = diffs.find(diff.time, "exposed", "exposed.dispatch", "transfers")
    assert diffs.times(transfers) == {"same work": (10, 5)}
    assert [(one.operation, one.base_slot, one.new_slot) for one in diff.slots.rows] == [
        ("F&B", "F0.0, B1.0", "F0.0&B1.0")
    ]
