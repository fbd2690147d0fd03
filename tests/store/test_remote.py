"""Runs that lie elsewhere: copied once, in pieces, by name, and never further than was typed."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner

from dpprof.api import load
from dpprof.cli import cli
from dpprof.errors import DpprofError
from dpprof.gating import read_side
from dpprof.store import remote, remote_copy
from dpprof.store.place import CacheLocation
from dpprof.store.remote import Place, address_of, without_secrets
from dpprof.store.remote_listing import is_sound_name
from dpprof.store.tidy import clear, list_copies
from dpprof.trace.source.remote_runs import brought_here

RUN = Path(__file__).parents[2] / "traces" / "1f1b"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The sample run in memory, and a cache of its own; nothing waits."""
    monkeypatch.setenv("DPPROF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DPPROF_CACHE", raising=False)
    monkeypatch.setattr(remote_copy, "_FIRST_WAIT_SECONDS", 0.0)
    system = fsspec.filesystem("memory")
    for file in RUN.iterdir():
        system.pipe_file(f"/runs/1f1b/{file.name}", file.read_bytes())
    system.pipe_file("/runs/1f1b/notes.txt", b"no part of the run")
    yield system
    system.rm("/runs", recursive=True)


def copies(tmp_path: Path) -> list[Path]:
    return sorted(file for file in (tmp_path / "cache").rglob("rank*.json.gz"))


def test_what_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address_of("s3://bucket/run") == "s3://bucket/run"
    assert address_of(Path("s3://bucket/run")) == "s3://bucket/run"
    for path in ("run", "/run", "C:/run", "0=a,1=b", "a:b", "simulated:dualpipe", "http:"):
        assert address_of(path) is None
    (tmp_path / "s3:").mkdir()
    (tmp_path / "s3:" / "run").mkdir()
    assert address_of("s3://run") is None  # it is here


def test_what_paramiko_reaches_takes_turns() -> None:
    """Its client has one connection, and several threads on it wait for each other for ever."""
    assert Place(None, "run", "ssh://host/run").takes_turns
    assert Place(None, "run", "sftp://host/run").takes_turns
    assert not Place(None, "run", "s3://bucket/run").takes_turns


def test_a_run_elsewhere_is_the_same_run(memory: Any, tmp_path: Path) -> None:
    here, there = load(RUN), load("memory://runs/1f1b")
    assert there.run.name == "1f1b"
    assert there.report().ranks == here.report().ranks
    assert {file.name for file in copies(tmp_path)} == {f.name for f in RUN.glob("rank*.gz")}
    assert not list((tmp_path / "cache").rglob("notes.txt"))


def test_what_is_here_in_that_version_is_not_copied_again(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    really = remote_copy._read_on

    def noting(place: Any, one: Any, *rest: Any) -> None:
        fetched.append(one.name)
        really(place, one, *rest)

    monkeypatch.setattr(remote_copy, "_read_on", noting)
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    names = {file.name for file in RUN.iterdir() if file.suffix in (".json", ".gz")}
    brought_here("memory://runs/1f1b")
    assert set(fetched) == names
    fetched.clear()
    brought_here("memory://runs/1f1b")
    assert fetched == []
    memory.pipe_file("/runs/1f1b/rank1.json.gz", (RUN / "rank1.json.gz").read_bytes())
    memory.rm("/runs/1f1b/rank2.json.gz")
    brought_here("memory://runs/1f1b")
    assert fetched == ["rank1.json.gz"]  # another version; and what is gone there is gone here
    assert "rank2.json.gz" not in {file.name for file in copies(tmp_path)}


def test_files_patterns_and_ranks(memory: Any) -> None:
    assert brought_here("memory://runs/1f1b/rank1.json.gz").name == "rank1.json.gz"  # type: ignore[union-attr]
    many = brought_here("memory://runs/1f1b/rank[01].json.gz")
    assert [file.name for file in many] == ["rank0.json.gz", "rank1.json.gz"]  # type: ignore[union-attr]
    given = brought_here(f"1=memory://runs/1f1b/rank0.json.gz,0={RUN / 'rank1.json.gz'}")
    assert {rank: Path(file).name for rank, file in given.items()} == {  # type: ignore[union-attr]
        1: "rank0.json.gz",
        0: "rank1.json.gz",
    }
    assert brought_here(RUN) == RUN


def test_what_is_not_there_is_named_with_what_to_type(memory: Any) -> None:
    with pytest.raises(DpprofError, match=r"memory://runs: holds only the folders 1f1b.*runs/1f1b"):
        load("memory://runs")
    with pytest.raises(DpprofError, match=r"memory://nowhere: no such file or folder there"):
        load("memory://nowhere")
    memory.pipe_file("/runs/empty/x.txt", b"")
    with pytest.raises(DpprofError, match="holds no trace files"):
        load("memory://runs/empty")
    with pytest.raises(DpprofError, match="no such kind of address"):
        load("gopher://runs/1f1b")
    with pytest.raises(DpprofError, match="no such kind of address"):
        load("simplecache::memory://runs/1f1b".replace("simplecache::", "zip://x::"))


def test_a_connection_that_breaks_goes_on_where_it_broke(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, read = memory.open, []

    class Breaking:
        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 5000

        def __enter__(self) -> Breaking:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def seek(self, at: int) -> None:
            self.file.seek(at)

        def read(self, count: int) -> bytes:
            if self.left <= 0:
                raise ConnectionResetError("by peer")
            data = self.file.read(min(count, self.left))
            self.left -= len(data)
            read.append(len(data))
            return bytes(data)

    monkeypatch.setattr(type(memory), "open", lambda _, path, mode: Breaking(really(path, mode)))
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    monkeypatch.setattr(remote_copy, "_ATTEMPTS", 20)
    file = brought_here("memory://runs/1f1b/rank0.json.gz")
    assert Path(file).read_bytes() == (RUN / "rank0.json.gz").read_bytes()  # type: ignore[arg-type]
    assert sum(read) == (RUN / "rank0.json.gz").stat().st_size  # nothing twice
    monkeypatch.setattr(remote_copy, "_ATTEMPTS", 2)
    with pytest.raises(DpprofError, match=r"cannot be read .*by peer.*try again"):
        brought_here("memory://runs/1f1b/rank1.json.gz")
    assert not [file for file in copies(tmp_path) if file.name == "rank1.json.gz"]


def test_what_is_replaced_while_it_is_copied_is_copied_anew(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = remote_copy._read_on
    new, left = (RUN / "rank1.json.gz").read_bytes(), [1]

    def replacing(place: Any, one: Any, *rest: Any) -> None:
        really(place, one, *rest)
        if left[0]:
            left[0] -= 1
            memory.pipe_file(one.path, new)

    monkeypatch.setattr(remote_copy, "_read_on", replacing)
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    file = brought_here("memory://runs/1f1b/rank0.json.gz")
    assert Path(file).read_bytes() == new  # type: ignore[arg-type]
    left[0] = 100
    with pytest.raises(DpprofError, match="replaced again and again"):
        brought_here("memory://runs/1f1b/rank1.json.gz")


def test_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://me:hunter2@host/run/rank0.json?X-Amz-Signature=hunter3"
    assert without_secrets(address) == "https://host/run/rank0.json"
    assert without_secrets("runs/a?b#c@d") == "runs/a?b#c@d"
    with pytest.raises(DpprofError) as caught, remote.said_plainly(address):
        raise PermissionError(f"403 for {address}, token=hunter4, secret_key: hunter5")
    assert "hunter" not in str(caught.value)
    assert "may not be read" in str(caught.value)
    assert caught.value.__cause__ is None
    with (
        pytest.raises(DpprofError, match="may not be read") as caught,
        remote.said_plainly("hf://a/b"),
    ):
        raise FileNotFoundError("a/b") from OSError("403: the token hf_hunter6 is not enough")
    assert "hunter" not in str(caught.value)


def test_what_file_systems_log_is_not_printed(memory: Any, capfd: Any) -> None:
    remote.open_place("memory://runs/1f1b")
    logging.getLogger("gcsfs.retry").error("refused with token=hunter7")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["", "..", "a/../b", "/a", "a//b", "a\\b", "a\0", "x" * 300])
def test_names_that_lead_elsewhere_are_none(name: str) -> None:
    assert not is_sound_name(name)
    assert is_sound_name("iteration_10/rank0.json.gz")


def test_copies_are_thrown_out_like_entries(memory: Any, tmp_path: Path) -> None:
    brought_here("memory://runs/1f1b")
    place = CacheLocation(tmp_path / "cache")
    (copy,) = list_copies(place)
    assert copy.size_bytes > 100_000
    assert copy in clear(place)
    assert not copies(tmp_path)


def test_without_a_cache_copies_last_as_long_as_the_process(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPPROF_CACHE", "off")
    assert load("memory://runs/1f1b").run.name == "1f1b"


def test_a_baseline_elsewhere(memory: Any, tmp_path: Path) -> None:
    from dpprof.gate.files import baseline_text

    side = read_side(str(RUN))
    memory.pipe_file("/runs/base.json", baseline_text(side.snapshot).encode())
    found = read_side("memory://runs/base.json")
    assert found.snapshot == side.snapshot
    assert found.name == "memory://runs/base.json"


def test_exports_go_there_and_replace_nothing_unasked(memory: Any) -> None:
    words = ["export", str(RUN), "--to", "csv", "-o", "memory://runs/out/tables"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "Wrote memory://runs/out/tables" in result.output
    assert memory.exists("/runs/out/tables/about.json")
    memory.pipe_file("/runs/out/tables/old.csv", b"")
    again = CliRunner().invoke(cli, words)
    assert isinstance(again.exception, DpprofError)
    assert "exists already" in str(again.exception)
    assert CliRunner().invoke(cli, [*words, "--force"]).exit_code == 0
    assert not memory.exists("/runs/out/tables/old.csv")
    memory.pipe_file("/runs/other/x", b"")
    other = CliRunner().invoke(cli, [*words[:-1], "memory://runs/other", "--force"])
    assert "is not an export" in str(other.exception)


def test_a_report_goes_there(memory: Any) -> None:
    words = ["analyze", str(RUN), "-o", "memory://runs/report.json"]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert json.loads(memory.cat_file("/runs/report.json"))["schema_version"]
    assert "exists already" in str(CliRunner().invoke(cli, words).exception)


class Server(BaseHTTPRequestHandler):
    """Serves the sample run as a page of links, some of which lead elsewhere."""

    asked: list[str] = []  # noqa: RUF012 - filled by the test
    etag = "one"

    def _answer(self) -> None:
        name = self.path.rpartition("/")[2]
        self.asked.append(f"{self.command} {self.path}")
        if not name:
            links = [file.name for file in RUN.iterdir()]
            links += ["/secret/rank9.json.gz", "http://127.0.0.1:1/rank8.json.gz", "../rank7.json"]
            body = "".join(f'<a href="{link}">{link}</a>' for link in links).encode()
        elif (RUN / name).is_file() and self.path.startswith("/runs/1f1b/"):
            body = (RUN / name).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("ETag", f'"{self.etag}-{name}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_web_server_is_asked_for_its_run_alone_and_once(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.asked.clear()
    address = f"http://127.0.0.1:{server.server_port}/runs/1f1b/"
    try:
        assert load(address).report().ranks == load(RUN).report().ranks
        assert {one.split()[1].rpartition("/")[0] for one in Server.asked} == {"/runs/1f1b"}
        got = [one for one in Server.asked if one.startswith("GET") and "rank0" in one]
        load(address)
        again = [one for one in Server.asked if one.startswith("GET") and "rank0" in one]
        assert len(got) >= 1
        assert again == got
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(DpprofError, match="cannot be read"):
        load(address)


def test_the_disk_is_looked_at_first(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = type("Usage", (), {"free": 70 << 20})()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    monkeypatch.setattr(remote_copy, "_SPARE_BYTES", 80 << 20)
    with pytest.raises(DpprofError, match=r"has room for 0\.1 GB; make room"):
        brought_here("memory://runs/1f1b")
