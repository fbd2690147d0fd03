"""pith-train's NVTX ranges: its ranks, stages, slots, and the kinds of its all-to-alls."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.costs.load import load_costs
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.engine import simulate
from dpprof.simulate.timing import timing_from_profile
from dpprof.trace.load import load_run
from dpprof.trace.nsys.pith_train import Setup, setup_of, titles
from tests.trace.nsys.conftest import Export

MS = 1_000_000
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
# What two ranks of DualPipeV push in a step of four micro-batches, as pith-train's loop has it.
PUSHED = {
    0: "F0 F0 F0 F1 B1 W F1 F0B1 F1B0 B1 F1B0 B1 B0 W B0 W",
    1: "F0 F1 F0 F1 F0 B1 F1B0 F0B1 F1B0 B1 B0 B1 B0 W W",
}


def pushed(rank: int) -> list[str]:
    """The texts of a step: chunks are counted by way and phase."""
    seen: dict[str, int] = {}
    texts = []
    for word in PUSHED[rank].split():
        if word == "W":
            texts.append("weight chunk")
            continue
        parts = []
        for one in (word[:2], word[2:]):
            if one:
                number = seen[one] = seen.get(one, -1) + 1
                way = "forward" if one[0] == "F" else "backward"
                parts.append(f"{way} chunk {number} (phase{one[1]})")
        texts.append(" ".join(parts))
    return texts


def setup(rank: int) -> str:
    return f"rank={rank}; pp={rank}/2 dp=0/1 cp=0/1 ep=0/1; mbs=1 seq=2048"


def written(tmp_path: Path, *, swapped: bool = False) -> Path:
    """Two steps of two ranks; the process of rank 1 has the lower number."""
    step = simulate(make_schedule("dualpipev", 2, 4), timing_from_profile(load_costs("unit")))
    export = Export()
    for rank, pid in ((0, 22), (1, 21)):
        export.range(pid, setup(rank), 0, None)  # pushed, and never popped
        for number in range(2):
            origin = number * step.makespan_ns + MS
            texts = pushed(rank)
            if swapped and rank == 0:
                texts[2:4] = texts[3:1:-1]
            spans = zip(texts, step.starts_ns[rank], step.ends_ns[rank], strict=True)
            for place, (text, start, end) in enumerate(spans):
                at = origin + place * 100
                export.range(pid, text, at, at + 90)
                export.kernel(pid, "gemm", origin + int(start) + 2000, origin + int(end) + 2000, at)
    return export.write(tmp_path / "job.sqlite")


def test_ranks_stages_and_the_schedule_are_found(tmp_path: Path) -> None:
    run = load_run(written(tmp_path))
    assert run.schedule is not None
    assert (run.schedule.name, run.schedule.pp, run.schedule.micro_batches) == ("dualpipev", 2, 4)
    assert {one.rank: one.stages for one in run.places} == {0: [0, 3], 1: [1, 2]}
    step = simulate(run.schedule, timing_from_profile(load_costs("unit")))
    report = analyze(run)
    assert report.ideal is not None
    assert report.ideal.window_ns == 2 * step.makespan_ns
    first = run.slots[(run.slots["rank"] == 0) & (run.slots["step"] == run.used_steps[0])]
    assert first.sort_values("start_ns")["slot"].tolist()[4:8] == [
        "I1.0",
        "W1.0",
        "F1.1",
        "F0.3&B1.1",
    ]


def test_in_another_order_weights_are_of_no_backward(tmp_path: Path) -> None:
    run = load_run(written(tmp_path, swapped=True))
    assert run.schedule is None or run.schedule.name == "as run"
    assert not [one for one in run.slots[run.slots["rank"] == 0]["slot"] if one[0] in "IW"]


@pytest.mark.parametrize(
    ("stage", "kind"), [("stage2_f", "dispatch"), ("stage4_b", "combine"), ("stage1_f", "p2p")]
)
def test_an_all_to_all_is_known_by_its_stage(stage: str, kind: str, tmp_path: Path) -> None:
    export = Export()
    export.range(21, setup(0), 0, None)
    export.range(21, "iteration 1", 1, 90 * MS)
    export.range(21, "forward chunk 0 (phase0)", 10, 40 * MS)
    export.range(21, f"layer03.{stage}", 20, 30 * MS)
    export.kernel(21, SEND_RECV, MS, 2 * MS, launched=100)
    events = load_run(export.write(tmp_path / "job.sqlite")).events
    assert events["kind"].tolist() == [kind]


@pytest.mark.parametrize(
    "text", ["rank=3", "rank=x; pp=0/2 dp=0/1 cp=0/1", "a rank=3; pp=0/2 dp=0/1"]
)
def test_other_texts_are_no_setup(text: str) -> None:
    assert setup_of(text) is None


def test_one_pipeline_rank_names_its_chunks() -> None:
    names = titles(["forward chunk 0 (phase1)", "criterion", "weight chunk"], Setup(0, 0, 1))
    assert names == ["PP:1F0", "criterion", "weight chunk"]
