"""Runs from the cache: the same as from the traces, whatever happens to either."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dpprof.store.contents import look, sample
from dpprof.store.place import find_place
from dpprof.store.tidy import list_entries
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.load import explain_kinds, load_run


def entries() -> list[Any]:
    place = find_place()
    return [] if place is None else list_entries(place)


def test_the_second_load_reads_no_trace_and_is_the_same(
    tmp_path, cache, make_run, without_cache, assert_same, no_reading
) -> None:
    folder = make_run(tmp_path / "run")
    plain = without_cache(lambda: load_run(folder))
    assert not cache.exists()
    first = load_run(folder)
    assert first.events["ready_ns"].max() == 1_135_000  # the ranks were matched
    no_reading()
    for run in (first, load_run(folder)):
        assert_same(run, plain)
    assert len(entries()) == 2


def test_a_copy_under_the_same_name_is_found_and_another_name_is_not(
    tmp_path, cache, make_run, no_reading
) -> None:
    folder = make_run(tmp_path / "run")
    load_run(folder)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "rank1.json").rename(tmp_path / "copy" / "other.json")
    no_reading()
    load_run(tmp_path / "copy" / "rank0.json")
    with pytest.raises(AssertionError, match="a trace was read"):
        load_run(tmp_path / "copy" / "other.json")


@pytest.mark.parametrize("settled", [True, False])
def test_a_byte_changed_between_the_samples_is_noticed(
    tmp_path, cache, make_trace, monkeypatch, settled
) -> None:
    """Even where the size and the time of the last change are put back."""
    if settled:
        monkeypatch.setattr("dpprof.store.contents._TICK_NS", 0)
    file = make_trace(tmp_path / "rank0.json", 0, 1, padding=2_000_000)
    content = file.read_bytes()
    begin = content.index(b"[", content.index(b"traceEvents")) + 1
    content = content[:begin] + b" " * 20_000 + content[begin:]  # behind the first sample
    file.write_bytes(content)
    moved = content.replace(b'"gemm"', b'"GEMM"', 1)
    before, key = file.stat(), sample(file)
    assert load_run(file).events["name"].tolist().count("gemm") == 2
    file.write_bytes(moved)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sample(file) == key
    assert load_run(file).events["name"].tolist().count("gemm") == 1
    assert load_run(file).events["name"].tolist().count("GEMM") == 1


def test_what_was_written_just_now_is_not_settled(tmp_path, monkeypatch) -> None:
    """It may be written again within the same tick of the file system's clock, unseen."""
    file = tmp_path / "x"
    file.write_text("x")
    written = file.stat().st_ctime_ns
    for after_ns, settled in ((0, False), (90_000_000, False), (2_100_000_000, True)):
        monkeypatch.setattr("dpprof.store.contents.time.time_ns", lambda at=after_ns: written + at)
        assert look(file).settled is settled
    late = 4 * 10**18
    os.utime(file, ns=(late, late))  # whole seconds: the clock may be that coarse
    for after_ns, settled in ((1_900_000_000, False), (2_100_000_000, True)):
        monkeypatch.setattr("dpprof.store.contents.time.time_ns", lambda at=after_ns: late + at)
        assert look(file).settled is settled


def test_other_rules_and_another_reader_have_entries_of_their_own(
    tmp_path, cache, make_trace, monkeypatch
) -> None:
    file = make_trace(tmp_path / "rank0.json", 0, 1)
    rule = KindRule(name="mine", where="name", pattern="gemm", kind="all_to_all")
    assert load_run(file).events["kind"].tolist()[0] == "compute"
    assert load_run(file, patterns=[rule]).events["kind"].tolist()[0] == "all_to_all"
    assert len(entries()) == 2
    monkeypatch.setattr("dpprof.trace.source.cache.code_digest", lambda *_: "another version")
    load_run(file)
    assert len(entries()) == 3


def test_any_damage_is_noticed_and_repaired(
    tmp_path, cache, make_trace, without_cache, assert_same, monkeypatch
) -> None:
    file = make_trace(tmp_path / "rank0.json", 0, 1)
    plain = without_cache(lambda: load_run(file))
    kinds = without_cache(lambda: explain_kinds(file))
    load_run(file)
    (entry,) = entries()
    for path in sorted(entry.folder.iterdir()):
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 3] ^= 0x41
        for content in (bytes(damaged), whole[: len(whole) // 2], b"", None):
            path.unlink() if content is None else path.write_bytes(content)
            run = load_run(file)
            assert run.events.equals(plain.events)
            assert run.memory.equals(plain.memory)
            assert explain_kinds(file).equals(kinds)
            assert path.read_bytes() == whole or path.name == "entry.json"  # written again
    assert_same(load_run(file), plain)


def test_a_disk_that_is_full_costs_a_warning_only(
    tmp_path, cache, make_run, without_cache, monkeypatch
) -> None:
    folder = make_run(tmp_path / "run")
    plain = without_cache(lambda: load_run(folder))
    written, real = [], Path.write_bytes

    def write(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) % 4 == 0:
            real(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    run = load_run(folder)
    assert run.events.equals(plain.events)
    assert run.warnings[0] == (
        f"{cache}: what was read cannot be kept there (No space left on device) and will be read "
        "again the next time; make room, or choose another folder (DPPROF_CACHE_DIR)"
    )
    assert run.warnings[1:] == plain.warnings
    assert entries() == []
    assert list(cache.glob("*/*")) == []  # nothing half written is left


def test_a_cache_that_cannot_be_a_folder_costs_a_warning_only(
    tmp_path, make_run, monkeypatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DPPROF_CACHE_DIR", str(tmp_path / "file"))
    run = load_run(make_run(tmp_path / "run"))
    assert "cannot be kept there" in run.warnings[0]


def _load_and_die(folder: Path, at: int) -> None:
    real, count = Path.write_bytes, iter(range(1000))

    def write(path: Path, content: bytes) -> int:
        if next(count) == at:
            real(path, content[: len(content) // 2])
            os._exit(9)
        return real(path, content)

    Path.write_bytes = write  # type: ignore[method-assign]
    load_run(folder)


def test_a_kill_at_any_moment_leaves_nothing_wrong(
    tmp_path, cache, make_run, without_cache, assert_same
) -> None:
    folder = make_run(tmp_path / "run", 1)
    plain = without_cache(lambda: load_run(folder))
    for at in range(8):
        child = multiprocessing.get_context("fork").Process(target=_load_and_die, args=(folder, at))
        child.start()
        child.join()
        assert (child.exitcode, entries()) == (9, [])
    assert_same(load_run(folder), plain)
    (tmp_path / "run" / "rank0.json").touch()
    assert_same(load_run(make_run(tmp_path / "run2", 2)), load_run(tmp_path / "run2"))
    assert list(cache.glob("*/.dpprof-*")) == []


def _load(folder: Path, start: Any, results: Any) -> None:
    start.wait()
    results.put(load_run(folder).events["ready_ns"].tolist())


def test_many_readers_at_once(tmp_path, cache, make_run, without_cache) -> None:
    folder = make_run(tmp_path / "run")
    wanted = without_cache(lambda: load_run(folder)).events["ready_ns"].tolist()
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    children = [context.Process(target=_load, args=(folder, start, results)) for _ in range(4)]
    for child in children:
        child.start()
    start.set()
    assert [results.get(timeout=60) for _ in children] == [wanted] * 4
    for child in children:
        child.join()
    assert len(entries()) == 2
    assert list(cache.glob("*/.dpprof-*")) == []


def test_events_that_are_thrown_out_meanwhile_are_read_from_the_trace(
    tmp_path, cache, make_run, without_cache, assert_same, monkeypatch
) -> None:
    monkeypatch.setattr("dpprof.trace.source.read_ranks._HELD_EVENTS", 0)
    folder = make_run(tmp_path / "run")
    run = load_run(folder)
    shutil.rmtree(cache)
    assert_same(run, without_cache(lambda: load_run(folder)))


def test_a_trace_that_changes_while_it_is_read_is_not_kept(
    tmp_path, cache, make_trace, monkeypatch
) -> None:
    from dpprof.trace.source import cache as stored

    file, real = make_trace(tmp_path / "rank0.json", 0, 1), stored.read_file

    def read(*args: Any, **options: Any) -> Any:
        tables = real(*args, **options)
        file.write_bytes(file.read_bytes() + b" ")
        return tables

    monkeypatch.setattr(stored, "read_file", read)
    assert len(load_run(file).events) == 4
    assert entries() == []
