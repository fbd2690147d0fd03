"""Whole runs from folders of traces made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.runs.manifest import Manifest, RankPlace, Steps, write_manifest
from dpprof.tables.columns import EVENTS, MEMORY, SLOTS, STEPS
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.load import explain_kinds, load_run

SEND = "dpprof:p2p action=F0.0 part=F stage=0 way=send group=0>1 peer=1 sequence=0"
RECEIVE = "dpprof:p2p action=F0.0 part=F stage=0 way=recv group=0>1 peer=0 sequence=0"


def write_pair(build, folder: Path, ending=".json.gz", **header) -> Path:
    for rank, (name, start) in enumerate([(SEND, 14), (RECEIVE, 12)]):
        own = {"source": "emulated", "rank": rank, "pp_rank": rank, "device": "cpu"}
        events = [
            build.step(0, 0, 10),
            build.step(1, 10, 10),
            build.annotation("dpprof:compute slot=F0.0 action=F0.0 part=F", 2, 3),
            build.annotation("dpprof:compute slot=F0.0 action=F0.0 part=F", 11, 1),
            build.annotation("dpprof:slot slot=F0.0", 11, 2),
            build.annotation(name, start, 3, 12),
            build.memory(13, 100 * (rank + 1)),
        ]
        file = folder / f"rank{rank}{ending}"
        build.write(file, events, **({"dpprof": own} | header))
    return folder


def manifest(**changes) -> Manifest:
    fields = {
        "schema_version": 1,
        "source": "emulated",
        "schedule": None,
        "device": "cpu",
        "world_size": 2,
        "ranks": [RankPlace(rank=0, pp_rank=1, stages=[1]), RankPlace(rank=1, pp_rank=0)],
        "steps": Steps(warmup=[0], measured=[1]),
    }
    return Manifest(**(fields | changes))


def test_a_run_folder(build, tmp_path: Path) -> None:
    write_pair(build, tmp_path)
    write_manifest(tmp_path, manifest())
    run = load_run(tmp_path)
    assert (run.name, run.source, run.schedule) == (tmp_path.name, "emulated", None)
    assert (run.used_steps, run.dropped_steps, run.warnings) == ((1,), (0,), ())
    assert run.places == tuple(manifest().ranks)
    assert run.manifest == manifest()
    for table, columns in (
        (run.events, EVENTS),
        (run.slots, SLOTS),
        (run.memory, MEMORY),
        (run.steps, STEPS),
    ):
        assert dict(table.dtypes.astype(str)) == columns
    assert run.events["rank"].tolist() == [0, 0, 0, 1, 1, 1]
    assert run.events["step"].tolist() == [0, 1, 1, 0, 1, 1]
    assert run.events["ready_ns"].tolist() == [-1, -1, 14000, -1, -1, 14000]
    assert run.events["name"].tolist() == [
        "compute",
        "compute",
        "send",
        "compute",
        "compute",
        "recv",
    ]
    assert run.memory["allocated_bytes"].tolist() == [100, 200]
    assert run.slots["rank"].tolist() == [0, 1]
    assert run.steps["step"].tolist() == [0, 1, 0, 1]


def test_without_a_manifest_the_traces_own_metadata_count(build, tmp_path: Path) -> None:
    run = load_run(write_pair(build, tmp_path, ".json"))
    assert (run.source, run.manifest, run.used_steps) == ("emulated", None, (0, 1))
    assert run.places == (RankPlace(rank=0, pp_rank=0), RankPlace(rank=1, pp_rank=1))


def test_a_schedule_in_the_manifest_is_read(build, tmp_path: Path) -> None:
    schedule = {"schedule": "1f1b", "pp": 2, "micro_batches": 1, "ranks": [["F0.0", "B0.0"]] * 2}
    write_pair(build, tmp_path)
    write_manifest(tmp_path, manifest(schedule=schedule))
    run = load_run(tmp_path)
    assert run.schedule is not None
    assert (run.schedule.name, run.schedule.pp) == ("1f1b", 2)


def test_steps_on_request(build, tmp_path: Path) -> None:
    write_pair(build, tmp_path)
    assert load_run(tmp_path, steps="0").used_steps == (0,)
    assert load_run(tmp_path, steps="0").dropped_steps == (1,)
    with pytest.raises(DpprofError, match="no step 5"):
        load_run(tmp_path, steps="5")
    with pytest.raises(DpprofError, match="whole-trace"):
        load_run(tmp_path, steps="0", whole_trace=True)


def test_the_whole_trace_is_one_step(build, tmp_path: Path) -> None:
    run = load_run(write_pair(build, tmp_path), whole_trace=True)
    assert (run.used_steps, run.dropped_steps, len(run.steps)) == ((0,), (), 0)
    assert set(run.events["step"]) == set(run.memory["step"]) == set(run.slots["step"]) == {0}
    assert run.events["ready_ns"].tolist() == [-1, -1, 14000, -1, -1, 14000]
    assert dict(run.events.dtypes.astype(str)) == EVENTS


def test_a_trace_without_marks_is_one_window_with_a_word(build, tmp_path: Path) -> None:
    file = build.write(tmp_path / "trace.json", [build.kernel("gemm", 1, 2, 3)])
    run = load_run(file)
    assert (run.used_steps, run.events["step"].tolist(), run.name) == ((0,), [0], "trace")
    assert [warning.partition(":")[0] for warning in run.warnings] == [
        "the trace marks no steps (ProfilerStep)"
    ]
    with pytest.raises(DpprofError, match="marks no steps"):
        load_run(file, steps="3")


def test_two_traces_of_one_rank_are_named(build, tmp_path: Path) -> None:
    write_pair(build, tmp_path)
    build.write(tmp_path / "rank0-again.json", [], dpprof={"rank": 0})
    with pytest.raises(DpprofError, match=r"rank0-again\.json and .*rank0\.json\.gz: both hold"):
        load_run(tmp_path)


def test_traces_that_do_not_say_their_rank(build, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        build.write(tmp_path / name, [build.step(0, 1, 2)])
    with pytest.raises(DpprofError, match=r"a\.json: neither the trace nor its name"):
        load_run(tmp_path)
    assert load_run(tmp_path / "a.json").places[0].rank == 0


def test_a_missing_rank_is_warned_of_and_nothing_is_claimed_of_its_peers(
    build, tmp_path: Path
) -> None:
    write_pair(build, tmp_path)
    write_manifest(tmp_path, manifest())
    (tmp_path / "rank1.json.gz").unlink()
    run = load_run(tmp_path)
    assert run.evidence[0].text.startswith("one rank is missing of 2 (1): figures that need")
    assert run.events["ready_ns"].tolist() == [-1, -1, -1]
    (tmp_path / "run.json").unlink()
    alone = write_pair(build, tmp_path, distributedInfo={"world_size": 16}) / "rank0.json.gz"
    assert (
        load_run(alone).evidence[0].text.startswith("15 ranks are missing of 16 (1, 2, 3, 4, 5, 6,")
    )


def test_work_outside_the_steps_is_counted(build, tmp_path: Path) -> None:
    events = [build.step(0, 0, 5), build.kernel("k", 1, 2, 1), build.kernel("k", 7, 8, 1)]
    report = analyze(load_run(build.write(tmp_path / "rank0.json", events)))
    assert report.warnings[0].startswith("1 of 2 activities run outside the marked steps")


def test_collectives_without_metadata_are_matched_by_order(build, tmp_path: Path) -> None:
    for rank in range(2):
        kernels = [build.kernel("ncclKernel_AllReduce", 1, 10 + 5 * rank, 20)]
        build.write(tmp_path / f"rank{rank}.json", [build.step(0, 0, 9), *kernels])
    run = load_run(tmp_path)
    assert run.events["ready_ns"].tolist() == [15000, 15000]
    assert run.events["group"].tolist() == ["all ranks", "all ranks"]
    assert run.events["sequence"].tolist() == [0, 0]
    assert run.warnings[0].startswith("2 collectives name no process group")


def test_low_latency_kernels_are_never_split(build, tmp_path: Path) -> None:
    for rank in range(2):
        kernels = [
            build.kernel("void deep_ep::internode_ll::dispatch<>", 1, 10 + rank, 20),
            build.annotation("dpprof:dispatch group=ep.0 sequence=0", 3, 2),
            build.kernel("void deep_ep::internode_ll::dispatch<>", 4, 40 + rank, 20),
        ]
        build.write(tmp_path / f"rank{rank}.json", [build.step(0, 0, 9), *kernels])
    run = load_run(tmp_path)
    assert run.events["group"].tolist() == ["", "ep.0"] * 2
    assert run.events["ready_ns"].tolist() == [-1] * 4
    assert run.warnings[0].startswith("DeepEP low-latency kernels only send, or only receive")


def test_the_users_patterns_reach_the_kernels(build, tmp_path: Path) -> None:
    file = build.write(tmp_path / "rank0.json", [build.kernel("my_exchange", 1, 2, 3)])
    mine = KindRule("mine", "name", "exchange", "all_to_all")
    assert load_run(file, patterns=[mine]).events["kind"].tolist() == ["all_to_all"]
    explained = explain_kinds(file, [mine])
    assert explained[
        ["rank", "name", "kind", "rule", "activities", "total_ns"]
    ].values.tolist() == [[0, "my_exchange", "all_to_all", "mine", 1, 3000]]
