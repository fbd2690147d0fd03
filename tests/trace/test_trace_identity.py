from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.trace.file_names import rank_in_name
from dpprof.trace.load import load_run
from dpprof.trace.rank.identity import identify
from dpprof.trace.read.parse import parse_trace


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("rank3.json.gz", 3),
        ("trace_rank_12.json", 12),
        ("Rank-7.pt.trace.json", 7),
        ("worker0_step100.json", 0),
        ("rank2_iter16_18.json", 2),
        ("10-116-218-90_3114575.pt.trace.json", None),
        ("frank3.json", None),
        ("ranking.json", None),
    ],
)
def test_rank_in_a_files_name(name: str, rank: int | None) -> None:
    assert rank_in_name(Path("rank9") / name) == rank


def found(build, name, **header):
    return identify(parse_trace(build.encode([], **header), Path(name)), rank_in_name(Path(name)))


def test_kineto_is_asked_before_our_metadata_and_these_before_the_name(build) -> None:
    own = {"rank": 2, "pp_rank": 1, "ep_rank": 3, "source": "emulated", "device": "cpu"}
    kineto = {"rank": 1, "world_size": 8, "backend": "nccl"}
    assert found(build, "rank3.json", distributedInfo=kineto, dpprof=own).rank == 1
    identity = found(build, "rank3.json", dpprof=own)
    assert (identity.rank, identity.source) == (2, "emulated")
    assert identity.place == RankPlace(rank=2, pp_rank=1, ep_rank=3)
    assert found(build, "rank3.json").rank == 3
    assert found(build, "trace.json").rank is None


@pytest.mark.parametrize("wrong", ["x", [1], {"rank": "first"}, {"pg_config": 3}, None])
def test_metadata_of_the_wrong_form_count_as_absent(build, wrong) -> None:
    assert found(build, "rank3.json", distributedInfo=wrong, dpprof=wrong).rank == 3


def test_groups_by_name_and_description_where_unambiguous(build) -> None:
    groups = [
        {"pg_name": "0", "pg_desc": "default_pg", "ranks": [1, 0]},
        {"pg_name": "1", "pg_desc": "undefined", "ranks": [0]},
        {"pg_name": "2", "pg_desc": "tp", "ranks": [0, 1]},
        {"pg_name": "3", "pg_desc": "tp", "ranks": [0, 2]},
        {"pg_name": "4", "pg_desc": "big"},
    ]
    identity = found(build, "rank0.json", distributedInfo={"rank": 0, "pg_config": groups})
    assert identity.groups == {
        "0": (0, 1),
        "default_pg": (0, 1),
        "1": (0,),
        "2": (0, 1),
        "3": (0, 2),
    }


@pytest.mark.parametrize("wrong", [-1, 10**6, 10**12, 2**70])
def test_numbers_that_no_job_has_are_not_believed(build, tmp_path: Path, wrong: int) -> None:
    info = {
        "rank": wrong,
        "world_size": wrong,
        "pg_config": [{"pg_name": "0", "ranks": [0, wrong]}],
    }
    identity = found(build, "rank3.json", distributedInfo=info)
    assert (identity.rank, identity.world_size) == (3, 10**6 if wrong == 10**6 else None)
    message = {"Collective name": "send", "Dst Rank": wrong, "Process Group Name": "0"}
    events = [build.kernel("ncclDevKernel_SendRecv", 1, 2, 3, **message)]
    events += [build.kernel("ncclDevKernel_AllGather", 3, 9, 3, **{"Seq": wrong} | message)]
    events += [build.annotation(f"PP:0F{wrong}", 0, 9)]
    build.write(tmp_path / "rank0.json", events, distributedInfo=info)
    run = load_run(tmp_path)
    assert [place.rank for place in run.places] == [0]
    assert analyze(run).ranks[0].by_kind.keys() >= {"p2p"}
    assert set(run.events["peer"]) <= {-1, 10**6 - 1}


def test_a_gpu_capture_without_gpu_activity_is_refused(build) -> None:
    """Else the host's labels would be reported as what the GPU did."""
    events = [build.annotation("dpprof:compute component=mlp", 0, 5)]
    assert len(build.tables(events, dpprof={"device": "cpu"}).events) == 1
    with pytest.raises(DpprofError, match=r"^was captured on a GPU and holds no GPU"):
        build.tables(events, dpprof={"device": "cuda"})
    assert len(build.tables([build.kernel("gemm", 0, 1, 5)], dpprof={"device": "cuda"}).events) == 1


def test_what_is_wrong_with_a_file_names_the_file(build, tmp_path: Path) -> None:
    file = tmp_path / "rank0.json"
    events = [build.annotation("dpprof:compute component=mlp", 0, 5)]
    build.write(file, events, dpprof={"device": "cuda"})
    with pytest.raises(DpprofError, match=rf"^{file}: was captured on a GPU and holds no GPU"):
        load_run(file)
