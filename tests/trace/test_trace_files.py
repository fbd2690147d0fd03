from __future__ import annotations

from pathlib import Path

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.load import load_run
from dpprof.trace.source.files import find_files, runs_inside


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def names(path: object) -> list[str]:
    return [trace.name for trace in find_files(path).traces]


def test_a_folder_a_glob_a_file_and_a_list(tmp_path: Path) -> None:
    touch(tmp_path, "w.rank1.pt.trace.json", "w.rank0.json.gz", "notes.txt", "deep/rank5.json")
    both = ["w.rank0.json.gz", "w.rank1.pt.trace.json"]
    assert names(tmp_path) == names(tmp_path / "w.*") == names(f"{tmp_path}/*.json*") == both
    assert names(tmp_path / both[1]) == both[1:]
    assert names([tmp_path / both[1], tmp_path / both[0]]) == both[::-1]
    assert find_files(tmp_path).name == tmp_path.name
    assert find_files(tmp_path / both[1]).name == "w.rank1"


def test_a_run_folder_holds_other_json_too(tmp_path: Path) -> None:
    touch(tmp_path, "rank0.json.gz", "costs.json")
    manifest = '{"schema_version":1,"source":"captured","schedule":null,"device":"cpu"'
    (tmp_path / "run.json").write_text(manifest + ',"world_size":1,"ranks":[]}')
    files = find_files(tmp_path)
    assert [trace.name for trace in files.traces] == ["rank0.json.gz"]
    assert files.manifest is not None
    assert files.manifest.device == "cpu"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DpprofError, match="no such file or folder"):
        find_files(tmp_path / "absent")
    with pytest.raises(DpprofError, match="holds no trace files"):
        find_files(tmp_path)
    with pytest.raises(DpprofError, match="no trace file given"):
        find_files([])
    touch(tmp_path, "1f1b/run.json", "dualpipe/run.json")
    with pytest.raises(DpprofError, match="holds the runs 1f1b, dualpipe; give one of them"):
        find_files(tmp_path)


@pytest.mark.parametrize("text", ["[1, 2]", '{"traceEvents": []}', '[{"a": 1}, {"name": 3}]'])
def test_json_without_any_event_is_not_a_trace(tmp_path, text):
    file = tmp_path / "rank0.json"
    file.write_text(text)
    with pytest.raises(DpprofError, match=r"rank0\.json: holds no device activity"):
        load_run(file)


def test_other_json_in_a_folder_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"traceEvents": []}')
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "config.json").write_text('{"pp": 4}')
    (tmp_path / "rank3.json").write_text('{"schemaVersion": 1')  # cut off, which is to be told
    found = find_files(tmp_path)
    assert [one.name for one in found.traces] == ["a.json", "b.json", "rank3.json"]
    assert [one.name for one in found.left_out] == ["config.json"]
    assert find_files(tmp_path / "config.json").left_out == ()


def test_a_folder_of_nothing_but_other_json_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"pp": 4}')
    with pytest.raises(DpprofError, match=r"config\.json: not a profiler trace"):
        load_run(tmp_path)


def test_other_json_beside_runs_hides_none(tmp_path: Path) -> None:
    touch(tmp_path, "golden.json", "dualpipe/run.json", "1f1b/run.json", "empty/notes.txt")
    assert [one.name for one in runs_inside(tmp_path)] == ["1f1b", "dualpipe"]
    with pytest.raises(DpprofError, match="holds the runs 1f1b, dualpipe; give one of them"):
        find_files(tmp_path)
    touch(tmp_path, "rank0.json")
    assert runs_inside(tmp_path) == []
