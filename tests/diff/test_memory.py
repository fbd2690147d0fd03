"""Memory peaks and promises: what changed of them, and what is not known."""

from __future__ import annotations

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.memory import peak_diff
from dpprof.analysis.diff.model import Bytes
from dpprof.analysis.figures import MemoryFigures


def _figures(peak, parameters, activations, in_flight, **fields):
    return MemoryFigures(
        peak_allocated_bytes=peak,
        parameter_bytes=parameters,
        activation_bytes=activations,
        in_flight=in_flight,
        **fields,
    )


def _bytes(name, base, new, parts=()):
    change = None if base is None or new is None else new - base
    return Bytes(name=name, base_bytes=base, new_bytes=new, change_bytes=change, parts=list(parts))


def _shared_out(name, change):
    return Bytes(name=name, base_bytes=None, new_bytes=None, change_bytes=change)


def test_activations_change_by_their_number_and_by_their_size():
    base = _figures(1000, 300, 600, {"0": 6})
    new = _figures(2000, 600, 1200, {"0": 5, "1": 3})
    diff = peak_diff(base, new, (0, 1))
    # 2 more at the mean of 100 and 150, and the rest because each is larger.
    assert diff.parts == [
        _bytes("parameters", 300, 600),
        _bytes(
            "activations",
            600,
            1200,
            [_shared_out("micro-batches in flight", 250), _shared_out("size of each", 350)],
        ),
        _bytes("not told apart", 100, 200),
    ]
    assert (diff.change_bytes, diff.base_rank, diff.new_rank) == (1000, 0, 1)


def test_exchanged_sides_share_out_the_opposite():
    base, new = _figures(900, 0, 900, {"0": 7}), _figures(1000, 0, 1000, {"0": 3})
    forth, back = peak_diff(base, new, (0, 0)), peak_diff(new, base, (0, 0))
    changes = [one.change_bytes for one in forth.parts[0].parts]
    assert changes == [-(one.change_bytes or 0) for one in back.parts[0].parts]
    assert sum(changes) == 100


def test_what_one_side_does_not_tell_apart_is_left_together():
    base, new = _figures(1000, 300, None, None), _figures(1500, 300, 900, {"0": 2})
    assert peak_diff(base, new, (0, 0)).parts == [
        _bytes("parameters", 300, 300),
        _bytes("not told apart", 700, 1200),
    ]


def test_an_unknown_peak_is_unknown_with_its_reason():
    base = MemoryFigures(reasons=["memory: no events"])
    diff = peak_diff(base, _figures(1500, 300, 900, {"0": 2}), (0, 0))
    assert (diff.base_bytes, diff.new_bytes, diff.change_bytes) == (None, 1500, None)
    assert diff.parts == []
    assert diff.reasons == ["BASE: memory: no events"]


def test_a_stage_has_the_largest_peak_of_the_ranks_that_hold_it(sample_diff):
    diff = sample_diff
    last = diff.stages[3]
    assert (last.stage, last.base_ranks, last.new_ranks) == (3, [3], [0, 3])
    assert last.memory is not None
    assert last.memory.base_rank == 3
    assert sum(part.change_bytes or 0 for part in last.memory.parts) == last.memory.change_bytes
    assert diff.memory.base_bytes == max(rank.memory.base_bytes or 0 for rank in diff.ranks)


def test_promises_of_1f1b_and_dualpipe_stand_beside_what_was_measured(sample_diff):
    found = {one.name: one for one in sample_diff.theory}
    parameters, activations = found["parameters"], found["activations"]
    assert (parameters.base.form, parameters.new.form) == ("1x", "2x")
    assert parameters.new.measured == parameters.new.closed_form
    assert parameters.base.measured is not None
    assert parameters.new.measured == 2 * parameters.base.measured
    assert (activations.base.closed_form, activations.new.closed_form) == (4, 5)
    assert (activations.base.measured, activations.new.measured) == (4, 5)
    assert (activations.base.form, activations.new.form) == ("PP", "PP+1")
    bubble = found["bubble"]
    assert (bubble.base.form, bubble.new.form) == ("(PP-1)(F+B)", "(PP/2-1)(F&B+B-3W)")
    assert bubble.base.ideal is not None
    assert bubble.base.measured is not None
    assert bubble.base.ideal == pytest.approx(bubble.base.measured, rel=0.1)


def test_simulated_steps_keep_their_promises_exactly(simulated):
    diff = diff_runs(simulated("1f1b", 4, 8, "unit"), simulated("zb1p", 4, 8, "unit"))
    bubble = next(one for one in diff.theory if one.name == "bubble")
    for side in (bubble.base, bubble.new):
        assert side.measured == side.ideal == side.closed_form
    throughput = next(one for one in diff.theory if one.name == "throughput")
    for side in (throughput.base, throughput.new):
        assert side.measured == pytest.approx(side.ideal) == pytest.approx(side.closed_form)


def test_without_a_schedule_nothing_is_promised(make_run, event):
    run = make_run([event(0, 0, 5, name="work")])
    for theory in diff_runs(run, run).theory:
        assert (theory.base.ideal, theory.base.closed_form) == (None, None)
        assert theory.base.reason
