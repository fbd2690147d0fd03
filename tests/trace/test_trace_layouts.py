"""Where other people's profilers put traces and snapshots: found, or listed with what to type."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.file_names import name_without_rank, rank_in_name
from dpprof.trace.load import load_run
from dpprof.trace.memory.snapshot_files import _beside
from dpprof.trace.source.files import find_files, pattern_of_all
from dpprof.trace.source.recordings import or_one_of, recordings, what_to_type

RUN = Path(__file__).parents[2] / "traces" / "1f1b"
TRACE = '{"traceEvents": []}'


def write(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TRACE)


def names(folder: Path) -> list[str]:
    return [str(trace.relative_to(folder)) for trace in find_files(folder).traces]


def test_the_only_recording_below_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "outputs" / "profiling" / "traces" / "iteration_10"
    deep.mkdir(parents=True)
    for rank in range(4):
        shutil.copy(RUN / f"rank{rank}.json.gz", deep / f"rank{rank}_trace.json.gz")
    assert len(load_run(tmp_path / "outputs").places) == 4
    assert find_files(tmp_path / "outputs").name == "iteration_10"


def test_several_iterations_are_listed_in_their_order(tmp_path: Path) -> None:
    traces = tmp_path / "profiling" / "traces"
    for iteration in (5, 10, 20):
        write(traces, *(f"iteration_{iteration}/rank{rank}_trace.json" for rank in range(2)))
    wanted = (
        r"holds recordings of the same ranks in its folders profiling/traces/iteration_5, "
        r"profiling/traces/iteration_10, profiling/traces/iteration_20; give one of them, such as "
        rf"'{traces}/iteration_20'$"
    )
    with pytest.raises(DpprofError, match=wanted):
        find_files(tmp_path)


def test_ranks_in_folders_of_their_own_may_be_one_run(tmp_path: Path) -> None:
    write(tmp_path, "node0/rank0.json", "node1/rank1.json")
    with pytest.raises(DpprofError, match=r"all of them as one run: '.*/\*/\*\.json\*'$"):
        find_files(tmp_path)
    assert len(find_files(f"{tmp_path}/*/*.json*").traces) == 2


LAYOUTS = {
    "megatron": (["torch_profile/rank-0.json.gz", "torch_profile/rank-1.json.gz"], 1),
    "verl": (["prof_start_1_end_2_rank_0.json", "prof_start_1_end_2_rank_1.json"], 1),
    "vllm": (["dp0_pp0_tp0_ep0_rank0.1733400.pt.trace.json.gz", "host_1.async_llm.json"], 1),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_one_recording_is_found(tmp_path: Path, name: str) -> None:
    files, _ = LAYOUTS[name]
    write(tmp_path, *files)
    assert names(tmp_path) == sorted(files)


SEVERAL = {
    "verl": (
        [f"prof_start_{at}_end_{at + 1}_rank_{rank}.json" for at in (1, 5) for rank in (0, 1)],
        ["prof_start_1_end_2_rank_*.json", "prof_start_5_end_6_rank_*.json"],
    ),
    "tensorboard": (
        [
            f"node{at}_77{at}.{17334 + run}00000{at}.pt.trace.json"
            for run in (0, 1)
            for at in (0, 1)
        ],
        ["node*_*.1733400000*.pt.trace.json", "node*_*.1733500000*.pt.trace.json"],
    ),
    "vllm": (
        [
            f"x-rank-{rank}.{t}00{rank}.pt.trace.json.gz"
            for t in (1733400, 1733999)
            for rank in (0, 1)
        ],
        ["x-rank-*.173340000*.pt.trace.json.gz", "x-rank-*.173399900*.pt.trace.json.gz"],
    ),
    "sglang": (
        [f"1733400{at}11.5-TP-{rank}.trace.json.gz" for at in (1, 2) for rank in (0, 1)],
        ["1733400111.5-TP-*.trace.json.gz", "1733400211.5-TP-*.trace.json.gz"],
    ),
    "one rank": (
        ["host_1.1733400001.pt.trace.json", "host_1.1733500001.pt.trace.json"],
        ["host_1.1733400001.pt.trace.json", "host_1.1733500001.pt.trace.json"],
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_recordings_are_listed_with_what_to_type(tmp_path: Path, name: str) -> None:
    files, patterns = SEVERAL[name]
    write(tmp_path, *files)
    with pytest.raises(DpprofError) as caught:
        find_files(tmp_path)
    typed = str(caught.value).split("give one of them: ")[1]
    assert typed == ", ".join(f"'{tmp_path / pattern}'" for pattern in patterns)
    each = [names_of(find_files(tmp_path / pattern).traces) for pattern in patterns]
    assert sorted(name for one in each for name in one) == sorted(files)
    assert len({len(one) for one in each}) == 1


def names_of(files: tuple[Path, ...]) -> list[str]:
    return [file.name for file in files]


def test_many_recordings_are_not_all_listed(tmp_path: Path) -> None:
    files = [
        tmp_path / f"prof_start_{at}_end_{at}_rank_{rank}.json" for at in range(9) for rank in "01"
    ]
    text = what_to_type(tmp_path, recordings(files))
    assert "holds 9 recordings of 2 traces each; give one of them: 3 earlier ones and '" in text
    assert "of the same ranks" in text
    assert fnmatch.fnmatch(files[-1].name, text.split("'")[-2].rpartition("/")[2])


@pytest.mark.parametrize(
    ("files", "typed"),
    [
        (
            [f"7-TP-{tp}-{stage}.trace.json" for stage in ("DECODE", "EXTEND") for tp in (0, 1)],
            "2 recordings of 2 traces each, give one of them: 'x/7-TP-*-DECODE.trace.json', "
            "'x/7-TP-*-EXTEND.trace.json'",
        ),
        (
            [f"worker_{pid}.{capture}.sqlite" for pid in (4711, 4712) for capture in (1, 2)],
            "2 recordings of 2 traces each, give one of them: 'x/worker_*.1.sqlite', "
            "'x/worker_*.2.sqlite'",
        ),
        (["a_1.json", "b_2.json"], ""),
        (["worker_4711.1.sqlite", "worker_4711.2.sqlite", "worker_4712.1.sqlite"], ""),
        (["node.json", "other.sqlite"], ""),
    ],
)
def test_what_is_no_run_may_be_several_recordings(files: list[str], typed: str) -> None:
    said = or_one_of([Path("x") / name for name in files])
    assert said == (f"; if they are {typed}" if typed else "")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("*.json*", ["node0/rank0.json", "node1/rank1.json.gz"]),
        ("*.sqlite*", ["node0/a.sqlite", "node1/b.sqlite"]),
        ("*", ["node0/a.sqlite", "node1/b.json"]),
    ],
)
def test_one_run_in_several_folders_has_a_pattern(
    name: str, files: list[str], tmp_path: Path
) -> None:
    write(tmp_path, *files)
    pattern = pattern_of_all(tmp_path, sorted(tmp_path.iterdir()))
    assert pattern == f"{tmp_path}/*/{name}"
    assert len(find_files(pattern).traces) == 2


@pytest.mark.parametrize(
    "files",
    [
        ["rank0.json", "rank1.json", "rank2.json"],
        ["1733400111-TP-0-EXTEND.trace.json", "1733400111-TP-0-DECODE.trace.json"],
        ["a_1733400111.json", "b_1733400112.json"],
        ["rank0.json", "rank0_b.json", "rank1.json"],  # not the same ranks: said when they are read
    ],
)
def test_other_names_are_one_recording(files: list[str]) -> None:
    paths = [Path(name) for name in files]
    assert recordings(paths) == [paths]


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        *(("rank1.pickle", 1), ("rank-1_later.pkl", 1), ("rank1.snapshot.json", 1)),
        *(
            ("snapshot_1.pickle", 1),
            ("snapshot_rank-1.pickle", 1),
            ("snapshot_oom_rank-1.pickle", 1),
        ),
        *(("memory_snapshot_rank1_step6.pkl", 1), ("oom_rank-1_x.pickle", 1)),
        *(("000001_step_10.pickle", 1), ("rank1_memory_snapshot.pickle", 1)),
        *(("rank10.pickle", 0), ("snapshot_10.pickle", 0), ("000010_step_1.pickle", 0)),
        *(("model.pickle", 0), ("step_1.pickle", 0)),
    ],
)
def test_snapshots_beside_traces(tmp_path: Path, name: str, rank: int) -> None:
    (tmp_path / name).touch()
    assert _beside(tmp_path, 1) == ([tmp_path / name] if rank else [])


def test_snapshots_of_an_iteration_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    traces = tmp_path / "traces" / "iteration_10"
    snapshots = tmp_path / "memory_snapshot" / "iteration_10"
    for folder in (traces, snapshots):
        folder.mkdir(parents=True)
    (snapshots / "rank1_memory_snapshot.pickle").touch()
    assert _beside(traces, 1) == [snapshots / "rank1_memory_snapshot.pickle"]
    assert _beside(traces, 0) == []


def test_a_name_without_its_rank() -> None:
    file = Path("a_rank-3_of_rank[12].json")
    assert rank_in_name(file) == 12
    assert name_without_rank(file) == "a_rank-3_of_rank[*].json"
    assert name_without_rank(Path("tp_rank3.json")) == "tp_rank3.json"
