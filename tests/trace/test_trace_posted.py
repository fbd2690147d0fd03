"""A host-timed message begins with the call that posts it: its span comes after that."""

from __future__ import annotations

from pathlib import Path

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run


def message(build, way: str, peer: int, at: float, until: float, posted: float) -> list:
    """c10d's call from `at`, and gloo's span from when the call had `posted` to the wait's end."""
    inputs = {"Concrete Inputs": ["", "", str(peer), "0"], "Input Dims": [[[16]], []]}
    span = {"Concrete Inputs": [""], "Input type": ["float"], "Input Dims": [[16]]}
    call = "c10d::send" if way == "send" else "c10d::recv_"
    return [
        build.operator(call, at, posted - at + 5, **inputs),
        build.annotation(f"gloo:{way}", posted, until - posted) | {"args": span},
    ]


def test_a_send_whose_thread_was_interrupted_after_it_was_posted_is_matched(build, tmp_path):
    """The second is received at 5.9 ms; its sender's span begins at 8 ms, the call at 3 ms."""
    sends = [(1_000, 1_050), (3_000, 8_000), (8_100, 8_150)]
    receives = [(1_500, 1_600), (2_000, 5_900), (6_000, 9_000)]
    marks = [build.step(1, 0, 10_000)]
    for rank in (0, 1):
        spans = sends if rank == 0 else receives
        way = "send" if rank == 0 else "recv"
        events = [*marks, build.operator("aten::mm", 100, 500)]
        for at, other in spans:
            posted, until = (other, 9_500) if rank == 0 else (at + 10, other)
            events += message(build, way, 1 - rank, at, until, posted)
        build.write(
            Path(tmp_path) / f"rank{rank}.json",
            events,
            distributedInfo={"rank": rank, "world_size": 2, "backend": "gloo"},
        )
    run = load_run(tmp_path)
    assert run.evidence == ()
    starts = run.events[run.events["name"] == "gloo:send"]["start_ns"].tolist()
    assert starts == [at * 1000 for at, _ in sends]
    report = analyze(run)
    assert [rank.wait_ns for rank in report.ranks] == [
        500_000,
        (3_000 - 2_000 + 8_100 - 6_000) * 1000,
    ]
