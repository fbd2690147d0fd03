"""What is thrown out, and `dpprof cache`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from dpprof.cli import run as dpprof
from dpprof.store.place import CacheLocation, any_place, find_place
from dpprof.store.tidy import clear, evict, list_entries
from dpprof.system.whole import partial_folder
from dpprof.trace.load import load_run


@pytest.fixture
def three(tmp_path: Path, cache: Path, make_trace) -> list[Path]:
    """Three traces in the cache, used 30, 20 and 10 days ago."""
    files = []
    for rank, days in enumerate((30, 20, 10)):
        files.append(make_trace(tmp_path / f"rank{rank}.json", rank, 3))
        load_run(files[-1])
        newest = list_entries(any_place())[-1]
        used = time.time() - days * 86400
        os.utime(newest.folder / "entry.json", (used, used))
    return files


def sources() -> list[str]:
    place = any_place()
    contents = [(kept.folder / "entry.json").read_bytes() for kept in list_entries(place)]
    return [Path(json.loads(content[9:])["source"]).name for content in contents]


def test_the_longest_unused_go_first_until_the_limit_holds(three) -> None:
    place = any_place()
    sizes = [kept.size_bytes for kept in list_entries(place)]
    evict(CacheLocation(place.folder, sum(sizes)))
    assert sources() == ["rank0.json", "rank1.json", "rank2.json"]
    load_run(three[0])  # now it is the latest used
    evict(CacheLocation(place.folder, sum(sizes) - 1))
    assert sources() == ["rank2.json", "rank0.json"]


def test_what_is_in_use_stays(three) -> None:
    place = any_place()
    keys = [kept.key for kept in list_entries(place)]
    gone = evict(CacheLocation(place.folder, 0), keep=keys[:1])
    assert [kept.key for kept in gone] == keys[1:]
    assert sources() == ["rank0.json"]


def test_reading_keeps_the_cache_below_its_limit(three, make_trace, tmp_path, monkeypatch) -> None:
    limit = sum(kept.size_bytes for kept in list_entries(any_place()))
    monkeypatch.setenv("DPPROF_CACHE_LIMIT", str(limit))
    load_run(make_trace(tmp_path / "rank4.json", 4, 5))
    assert sources()[-2:] == ["rank2.json", "rank4.json"]
    assert "rank0.json" not in sources()
    assert sum(kept.size_bytes for kept in list_entries(any_place())) <= limit


def test_remains_of_killed_processes_are_removed_and_what_is_being_made_is_not(cache) -> None:
    place = any_place()
    place.entries.mkdir(parents=True)
    (place.entries / ".dpprof-left.partial").mkdir()
    with partial_folder(place.entries) as made:
        evict(place)
        assert list(place.entries.iterdir()) == [made]


def test_what_may_not_be_removed_is_said(three, monkeypatch, capsys) -> None:
    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("dpprof.store.tidy.remove", refuse)
    assert clear(any_place()) == []
    assert dpprof(["cache", "clear"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("Removed 0 ranks")
    assert "3 ranks are still there" in said.err


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_an_entry_of_pipes_or_devices_is_read_anew(three, kind, tmp_path) -> None:
    files = sorted(any_place().entries.glob("*/*"))
    assert len(files) > 10
    for file in files:
        content = file.read_bytes()
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to("/dev/zero")
        load_run(three[0])
        if file.parent.exists() and not file.is_file():
            file.unlink()
            file.write_bytes(content)


def test_clearing_what_was_not_used_for_long(three) -> None:
    assert len(clear(any_place(), 15 * 86400)) == 2
    assert sources() == ["rank2.json"]
    assert len(clear(any_place())) == 1
    assert sources() == []


def test_the_verb_shows_what_is_kept(three, cache, capsys) -> None:
    assert dpprof(["cache", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ranks"][0]["source"] == str(three[2])
    assert shown["size_bytes"] == sum(one["size_bytes"] for one in shown["ranks"]) > 0
    assert {key: shown[key] for key in ("schema_version", "folder", "enabled", "entries")} == {
        "schema_version": 1,
        "folder": str(cache),
        "enabled": True,
        "entries": 3,
    }
    assert dpprof(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"folder   {cache}", "ranks    3"]
    assert lines[-1].endswith(str(three[0]))


def test_the_verb_clears(three, cache, capsys) -> None:
    assert dpprof(["cache", "clear", "--older-than", "15d", "--format", "json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["removed"], done["removed_bytes"] > 0) == (2, True)
    assert dpprof(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("Removed 1 ranks, ")
    assert dpprof(["cache", "clear", "--older-than", "soon"]) == 2


def test_switched_off_the_verb_still_shows_and_clears(three, monkeypatch, capsys) -> None:
    monkeypatch.setenv("DPPROF_CACHE", "off")
    assert find_place() is None
    assert dpprof(["cache"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("(switched off)")
    assert dpprof(["cache", "clear"]) == 0
    assert sources() == []


def test_where_the_cache_is(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("DPPROF_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert any_place() == CacheLocation(tmp_path / "dpprof")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert any_place() == CacheLocation(tmp_path / ".cache" / "dpprof")
