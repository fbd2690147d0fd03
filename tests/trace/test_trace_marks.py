"""Marks of steps that are nested, repeated, without an end, or on several threads."""

from __future__ import annotations

from dpprof.trace.activities.steps import find_marks
from dpprof.trace.read.parse import parse_trace

OTHER = 12


def marks_of(build, tmp_path, *events):
    trace = parse_trace(build.encode(list(events)), tmp_path / "rank0.json")
    marks = find_marks(trace)
    rows = zip(marks.step.tolist(), marks.start_ns.tolist(), marks.end_ns.tolist(), strict=True)
    return list(rows), " ".join(marks.doubts)


def mark(build, number: int, ts: int, dur: int, tid: int):
    return build.annotation(f"ProfilerStep#{number}", ts, dur, tid)


def test_plain_marks_are_no_news(build, tmp_path) -> None:
    found, doubts = marks_of(build, tmp_path, build.step(3, 0, 9), build.step(4, 10, 9))
    assert found == [(3, 0, 9000), (4, 10_000, 19_000)]
    assert doubts == ""


def test_the_outer_of_nested_marks_counts(build, tmp_path) -> None:
    inner = [build.step(10, 1, 19), build.step(11, 20, 19)]
    found, doubts = marks_of(build, tmp_path, build.step(0, 0, 40), *inner)
    assert found == [(0, 0, 40_000)]
    assert "steps 10, 11 are nested" in doubts


def test_a_mark_that_is_written_twice_is_one(build, tmp_path) -> None:
    again = build.operator("ProfilerStep#3", 1, 8)
    found, doubts = marks_of(build, tmp_path, build.step(3, 0, 10), again)
    assert (found, doubts) == ([(3, 0, 10_000)], "")


def test_of_repeated_marks_the_first_counts(build, tmp_path) -> None:
    events = [build.step(3, 0, 10), build.step(4, 10, 10), build.step(3, 50, 10)]
    found, doubts = marks_of(build, tmp_path, *events)
    assert found == [(3, 0, 10_000), (4, 10_000, 20_000)]
    assert "steps 3 are marked more than once" in doubts


def test_a_mark_without_an_end_lasts_until_the_next(build, tmp_path) -> None:
    events = [build.step(3, 0, 0), build.step(4, 10, 0), build.operator("aten::mm", 12, 5)]
    found, doubts = marks_of(build, tmp_path, *events)
    assert found == [(3, 0, 10_000), (4, 10_000, 17_000)]
    assert "step 3, 4 has no end" in doubts


def test_the_same_steps_on_two_threads_are_joined(build, tmp_path) -> None:
    events = [mark(build, number, 20 * number, 10, build.MAIN) for number in range(2)]
    events += [mark(build, number, 20 * number + 5, 10, OTHER) for number in range(2)]
    found, doubts = marks_of(build, tmp_path, *events)
    assert found == [(0, 0, 15_000), (1, 20_000, 35_000)]
    assert "marked on 2 threads" in doubts


def test_work_is_of_the_step_of_its_own_thread(build) -> None:
    events = [mark(build, number, 20 * number, 20, build.MAIN) for number in range(2)]
    events += [mark(build, number, 20 * number + 5, 20, OTHER) for number in range(2)]
    events += [build.kernel("a", 21, 22, 1), build.kernel("b", 21, 23, 1, tid=OTHER)]
    assert build.tables(events).events["step"].tolist() == [1, 0]


def test_another_loop_beside_the_training_loop_is_left_out(build, tmp_path) -> None:
    events = [build.step(0, 0, 50), build.step(1, 50, 50), mark(build, 70, 30, 10, OTHER)]
    found, doubts = marks_of(build, tmp_path, *events)
    assert [step for step, *_ in found] == [0, 1]
    assert "steps 70 are marked on another thread" in doubts


def test_a_loop_that_moves_to_another_thread_goes_on(build, tmp_path) -> None:
    found, doubts = marks_of(build, tmp_path, build.step(0, 0, 50), mark(build, 1, 60, 10, OTHER))
    assert [step for step, *_ in found] == [0, 1]
    assert doubts == ""
