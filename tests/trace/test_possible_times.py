"""Lost kernels and impossible times: found, counted and said, and the rest stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.evidence.figures import touching
from dpprof.trace.load import load_run

FIRST = 1_000_000.0


def report_of(build, folder, events: list[Any], **header: Any) -> Any:
    build.write(folder / "rank0.json", events, **header)
    return analyze(load_run(folder))


def computing(report) -> int:
    states = report.ranks[0].states_ns
    return states["compute_only"] + states["overlap"]


def checks(report) -> dict[str, tuple[int, int]]:
    return {one.check: (one.found, one.of) for one in report.evidence}


def step_of(build, count: int = 10, start: float = FIRST, **more: Any) -> list[Any]:
    """A step of so many kernels of 90 us, one every 100 us."""
    kernels = [
        build.kernel("gemm", start + i, start + 100 * i + 50, 90, **more) for i in range(count)
    ]
    return [build.step(1, start, 100 * count + 100), *kernels]


def test_a_sound_trace_has_no_evidence(build, tmp_path) -> None:
    report = report_of(build, tmp_path, step_of(build))
    assert report.evidence == []
    assert computing(report) == 900_000


def test_launches_without_kernels_are_counted_and_make_figures_at_least(build, tmp_path) -> None:
    events = step_of(build)
    events[3] = events[3][:1]
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"lost-kernels": (1, 10)}
    assert "1 of 10 kernel launches have no kernel in the trace" in report.warnings[0]
    assert report.ranks[0].bubble_share is None
    assert touching(report.evidence, "bubble_share", 0)


def test_lost_kernels_leave_no_order_to_match_by(build, tmp_path) -> None:
    """The sender lost its last message and the receiver its first: as many, but not the same."""
    said = {"Process Group Name": "1", "Process Group Ranks": "[0, 1]", "In msg nelems": 8}
    for rank, gone in ((0, 3), (1, 0)):
        way = {"Dst Rank": 1} if rank == 0 else {"Src Rank": 0}
        kernel = type(build.kernel)()
        rows = [
            kernel(
                "ncclDevKernel_SendRecv", FIRST + i, FIRST + 100 * i + 50 + rank, 90, **said, **way
            )
            for i in range(4)
        ]
        rows[gone] = rows[gone][:1]
        info = {"rank": rank, "world_size": 2}
        file = tmp_path / f"rank{rank}.json"
        build.write(file, [build.step(1, FIRST, 500), *rows], distributedInfo=info)
    run = load_run(tmp_path)
    assert (run.events["ready_ns"] == -1).all()
    assert {one.check for one in run.evidence} == {"lost-kernels"}


def test_a_clock_that_jumps_is_no_constant_offset(build, tmp_path) -> None:
    """Kernels in another order than their launches: shifting them all would set none right."""
    events = [build.step(1, FIRST, 5000)]
    for i in range(10):
        early = 4000 if i >= 5 else 0
        events += [build.kernel("gemm", FIRST + 100 * i, FIRST + 1000 + 100 * i - early, 90)]
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"clock-jump": (5, 10)}
    assert (report.step_ns, report.ranks[0].bubble_share) == (None, None)


def test_what_a_capture_launches_is_not_missed(build, tmp_path) -> None:
    def call(name: str, at: float) -> Any:
        return build.span("cuda_runtime", name, at, 1, correlation=900 + int(at - FIRST))

    captured = [
        call("cudaStreamBeginCapture_ptsz", FIRST + 20),
        call("cudaLaunchKernel", FIRST + 21),
        call("cudaStreamEndCapture_ptsz", FIRST + 22),
    ]
    assert report_of(build, tmp_path, [*step_of(build), *captured]).evidence == []


def test_launches_outside_the_steps_are_not_missed(build, tmp_path) -> None:
    late = build.kernel("gemm", FIRST + 5000, FIRST + 5001, 1)[:1]
    assert report_of(build, tmp_path, [*step_of(build), *late]).evidence == []


def test_a_graph_launch_counts_by_the_kernels_of_its_other_replays(build, tmp_path) -> None:
    events = [build.step(1, FIRST, 1000)]
    for replay in range(4):
        at = FIRST + 200 * replay
        events.append(build.span("cuda_runtime", "cudaGraphLaunch", at, 1, correlation=replay + 1))
        where = {"device": 0, "stream": 7, "correlation": replay + 1}
        if replay != 2:
            events += [build.span("kernel", "k", at + 10 * i, 9, 7, **where) for i in range(1, 6)]
    assert checks(report_of(build, tmp_path, events)) == {"lost-kernels": (5, 20)}


def test_launches_without_any_kernel_are_refused(build, tmp_path) -> None:
    events = [one[0] if isinstance(one, list) else one for one in step_of(build)]
    build.write(tmp_path / "rank0.json", events)
    with pytest.raises(DpprofError, match="10 launches and no kernel in the trace"):
        load_run(tmp_path)


def test_devices_and_rows_of_the_host_alone_are_refused(build, tmp_path) -> None:
    """Kineto lists the devices that the process saw; a CPU run that saw none is one."""
    events = [build.step(1, 0, 100), build.operator("aten::mm", 10, 50)]
    with pytest.raises(DpprofError, match=r"8 devices .* only the host was recorded"):
        report_of(build, tmp_path, events, deviceProperties=[{"id": one} for one in range(8)])
    assert computing(report_of(build, tmp_path, events, deviceProperties=[])) == 50_000
    ours = {"deviceProperties": [{"id": 0}], "dpprof": {}}
    assert computing(report_of(build, tmp_path, events, **ours)) == 50_000


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        (("cuda_runtime", "cudaDeviceSynchronize", 70, 9), "1 calls of the device's runtime"),
        (("cuda_runtime", "cudaMemcpyAsync", 70, 9), "1 calls of the device's runtime"),
        (("user_annotation", "nccl:all_reduce", 70, 9), "1 communications of NCCL"),
        ("memory", "1 changes of the device's memory"),
    ],
)
def test_any_sign_of_a_device_tells_host_rows_from_a_cpu_run(build, tmp_path, sign, words) -> None:
    """Without `deviceProperties`; a job on a CPU has no such sign, whatever its backend."""
    events = [build.step(1, 0, 100), build.operator("aten::mm", 10, 50)]
    on_cpu = {"distributedInfo": {"rank": 0, "backend": "nccl"}}
    gloo = [build.annotation("gloo:all_reduce", 70, 9), build.memory(5, 100)]
    assert computing(report_of(build, tmp_path, [*events, *gloo], **on_cpu)) == 50_000
    shown = build.memory(5, 100, kind=1) if sign == "memory" else build.span(*sign)
    with pytest.raises(DpprofError, match=rf"{words} .*only the host was recorded"):
        report_of(build, tmp_path, [*events, shown])


def test_rows_of_gaudi_are_of_a_device(build, tmp_path) -> None:
    kernels = [build.kernel("matmul", 5, at, 20)[1] | {"cat": "hpu_op"} for at in (10, 40)]
    events = [build.step(1, 0, 100), build.operator("aten::mm", 1, 5), *kernels]
    assert computing(report_of(build, tmp_path, events)) == 40_000


def test_a_rank_whose_device_was_not_recorded_is_left_out(build, tmp_path) -> None:
    build.write(tmp_path / "rank0.json", step_of(build))
    events = [one[0] if isinstance(one, list) else one for one in step_of(build)]
    build.write(tmp_path / "rank1.json", events)
    report = analyze(load_run(tmp_path))
    assert [one.rank for one in report.ranks] == [0]
    assert checks(report) == {"no-device-activity": (10, 10)}
    assert "rank 1 is left out of all figures" in report.warnings[0]


def test_a_row_is_cut_where_the_next_of_its_stream_begins(build, tmp_path) -> None:
    events = step_of(build)
    events[4][1]["dur"] = 3_400_000
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"overlap": (1, 10)}
    assert computing(report) == 910_000
    assert report.window_ns == 1_100_000


def test_rows_of_other_streams_may_overlap(build, tmp_path) -> None:
    events = [*step_of(build), build.kernel("other", FIRST, FIRST + 10, 900, stream=8)]
    assert report_of(build, tmp_path, events).evidence == []


def test_a_lane_that_is_no_queue_is_not_cut_and_no_figure_of_it_is_certain(build, tmp_path) -> None:
    events = step_of(build)
    for one in events[1:9]:
        one[1]["dur"] = 200
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"overlap": (8, 10)}
    assert touching(report.evidence, "compute_ns", 0)


def test_rows_without_a_time_are_left_out(build, tmp_path) -> None:
    events = step_of(build)
    for one in events[4][1], events[7][1]:
        one["ts"] = one["dur"] = 0
    report = report_of(build, tmp_path, events)
    assert checks(report)["no-time"] == (2, 10)
    assert computing(report) == 720_000
    assert report.window_ns == 1_100_000


def test_rows_far_from_all_that_was_recorded_are_left_out(build, tmp_path) -> None:
    events = step_of(build, start=60_000_000.0)
    events[4][1]["ts"] = 60_000_000_000
    report = report_of(build, tmp_path, events)
    assert checks(report)["outside-the-trace"] == (1, 10)
    assert computing(report) == 810_000


def test_a_constant_offset_of_the_device_clock_is_taken_back(build, tmp_path) -> None:
    events = step_of(build)
    for one in events[1:]:
        one[1]["ts"] -= 3000
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"device-clock": (10, 10)}
    assert "2.95 ms behind" in report.warnings[0]
    assert (computing(report), report.window_ns) == (900_000, 1_100_000)


def waited_for(build, at: float) -> list[Any]:
    """`step_of` with a wait for the device at its end; its kernels run `at` later than they do."""
    events = step_of(build)
    for one in events[1:]:
        one[1]["ts"] += at
    wait = events[1][0] | {"name": "cudaDeviceSynchronize", "ts": FIRST + 20, "dur": 1000}
    return [*events, wait | {"args": {"correlation": 99}}]


def test_a_device_that_ends_after_it_was_waited_for_has_a_clock_ahead(build, tmp_path) -> None:
    assert report_of(build, tmp_path, waited_for(build, 0)).evidence == []
    report = report_of(build, tmp_path, waited_for(build, 700_000))
    assert checks(report) == {"device-clock": (10, 10)}
    assert (computing(report), report.window_ns) == (900_000, 1_100_000)


def test_no_shift_explains_what_is_late_and_early(build, tmp_path) -> None:
    events = waited_for(build, 0)
    for one in events[8:11]:
        one[1]["ts"] += 4000
    assert checks(report_of(build, tmp_path, events))["clock-jump"][0] == 3


def test_a_single_row_before_its_launch_is_left_out(build, tmp_path) -> None:
    events = step_of(build, 40)
    events[20][1]["ts"] = FIRST - 3000
    report = report_of(build, tmp_path, events)
    assert checks(report) == {"before-launch": (1, 40)}
    assert computing(report) == 39 * 90_000


@dataclass
class Truth:
    """A random trace of one stream whose figures are known, with faults planted."""

    lengths: list[int]
    gaps: list[int]
    leads: list[int]
    lost: set[int]
    long: set[int]
    timeless: set[int]
    offset: int

    def marks(self) -> list[tuple[int, int]]:
        """Start and end of the steps, of two kernels each, in microseconds."""
        edges, at = [], 0
        for lead, (kernels, gaps) in zip(self.leads, self._steps(), strict=True):
            end = at + lead + sum(kernels) + sum(gaps)
            edges.append((at, end))
            at = end
        return edges

    def _steps(self) -> list[tuple[list[int], list[int]]]:
        both = range(0, len(self.lengths), 2)
        return [(self.lengths[i : i + 2], self.gaps[i : i + 2]) for i in both]

    def events(self, build) -> list[Any]:
        events: list[Any] = []
        for step, (start, end) in enumerate(self.marks()):
            events.append(build.step(step, FIRST + start, end - start))
            at = start + self.leads[step]
            for number in (2 * step, 2 * step + 1):
                events.append(self._kernel(build, number, at))
                at += self.lengths[number] + self.gaps[number]
        return events

    def _kernel(self, build, number: int, at: int) -> list[Any]:
        length = 9_000_000 if number in self.long else self.lengths[number]
        made = build.kernel("gemm", FIRST + at - 1, FIRST + at - self.offset, length)
        if number in self.timeless:
            made[1]["ts"] = made[1]["dur"] = 0
        return made[:1] if number in self.lost else made


@st.composite
def truths(draw) -> Truth:
    steps = draw(st.integers(1, 4))
    numbers = st.sets(st.integers(0, 2 * steps - 1), max_size=1)
    kinds = draw(st.sampled_from(["none", "lost", "long", "timeless", "offset", "two"]))
    lost = draw(numbers) if kinds in ("lost", "two") else set()
    return Truth(
        lengths=draw(st.lists(st.integers(30, 300), min_size=2 * steps, max_size=2 * steps)),
        gaps=draw(st.lists(st.integers(5, 200), min_size=2 * steps, max_size=2 * steps)),
        leads=draw(st.lists(st.integers(2, 500), min_size=steps, max_size=steps)),
        lost=lost,
        long=draw(numbers) if kinds in ("long", "two") else set(),
        timeless=draw(numbers) - lost if kinds == "timeless" else set(),
        offset=draw(st.integers(1000, 5000)) if kinds == "offset" else 0,
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(truth=truths())
@example(truth=Truth([30, 30], [5, 5], [2], {0}, {1}, set(), 0))
@example(truth=Truth([30, 30], [5, 5], [2], {1}, {0}, set(), 0))
def test_every_figure_is_true_or_evidence_says_that_it_is_not(
    build, tmp_path_factory, truth: Truth
) -> None:
    folder = tmp_path_factory.mktemp("truth")
    build.write(folder / "rank0.json", truth.events(build))
    if truth.lost | truth.long == set(range(len(truth.lengths))):
        with pytest.raises(DpprofError, match="no kernel in the trace"):
            load_run(folder)  # one is lost, and no next one says where the other ends
        return
    report = analyze(load_run(folder))
    window = 1000 * truth.marks()[-1][1]
    assert sum(step.window_ns for step in report.per_step) == report.window_ns
    ends = [step.start_ns + step.window_ns for step in report.per_step]
    assert [step.start_ns for step in report.per_step[1:]] == ends[:-1]
    said = touching(report.evidence, "compute_ns", 0)
    work = 1000 * sum(truth.lengths)
    if truth.long:
        assert report.evidence  # cut at the next one, which is at most a gap too long
        assert computing(report) <= work + 1000 * (sum(truth.gaps) + sum(truth.leads))
        return
    assert abs(report.window_ns - window) <= 1000 or touching(report.evidence, "window_ns", 0)
    assert computing(report) == work or (said and computing(report) < work)
    assert bool(said) is bool(truth.lost or truth.timeless)
