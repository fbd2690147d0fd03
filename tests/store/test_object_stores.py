"""Runs in object stores and on hosts, against servers in this process: ``make object-stores``.

moto stands for S3, asyncssh for a host. For ``gs://`` and ``hf://`` no kept library has a server
that runs in a process: `fake_stores` answers what their file systems ask.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dpprof.api import load
from dpprof.cli import cli
from dpprof.errors import DpprofError
from dpprof.gating import read_side
from dpprof.store import remote_copy
from dpprof.trace.source.remote_runs import brought_here
from tests.store import fake_stores

RUN = Path(__file__).parents[2] / "traces" / "1f1b"
NAMES = {file.name for file in RUN.iterdir() if file.suffix in (".json", ".gz")}
SECRET = "an-access-key-that-nobody-may-see"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A cache of its own, and what was copied into it."""
    found: list[str] = []
    really = remote_copy._read_on

    def noting(place: Any, one: Any, *rest: Any) -> None:
        found.append(one.name)
        really(place, one, *rest)

    monkeypatch.setenv("DPPROF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DPPROF_CACHE", raising=False)
    monkeypatch.setattr(remote_copy, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(remote_copy, "_read_on", noting)
    return found


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with the sample run, on a server in this process."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(skip_instance_cache=True)
    system.makedirs("bucket", exist_ok=True)  # moto keeps it from test to test
    for file in RUN.iterdir():
        system.pipe_file(f"bucket/runs/1f1b/{file.name}", file.read_bytes())
    yield system
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_run_in_a_bucket_is_the_same_run_and_copied_once(s3: Any, fetched: list[str]) -> None:
    address = "s3://bucket/runs/1f1b"
    assert load(address).report().ranks == load(RUN).report().ranks
    assert load(address).run.name == "1f1b"
    brought_here(address)
    s3.pipe_file("bucket/runs/1f1b/rank1.json.gz", (RUN / "rank0.json.gz").read_bytes())
    folder = Path(brought_here(address))  # type: ignore[arg-type]
    assert (folder / "rank1.json.gz").read_bytes() == (RUN / "rank0.json.gz").read_bytes()
    assert {file.name for file in folder.iterdir()} >= NAMES


def test_nothing_is_copied_twice_but_what_has_another_etag(
    s3: Any, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    address = "s3://bucket/runs/1f1b"
    brought_here(address)
    assert set(fetched) == NAMES
    fetched.clear()
    brought_here(address)
    assert fetched == []
    s3.pipe_file("bucket/runs/1f1b/rank1.json.gz", (RUN / "rank0.json.gz").read_bytes())
    brought_here(address)
    assert fetched == ["rank1.json.gz"]


def test_what_a_bucket_does_not_hold(s3: Any, fetched: list[str]) -> None:
    for address in ("s3://bucket/nothing", "s3://nobucket/run"):
        with pytest.raises(DpprofError, match="no such file or folder there") as caught:
            load(address)
        assert address in str(caught.value)
    with pytest.raises(DpprofError, match="holds only the folders 1f1b"):
        load("s3://bucket/runs")


def test_a_bucket_that_is_refused_names_no_key(
    s3: Any, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs
    from botocore.exceptions import ClientError

    async def refuse(*_: Any, **__: Any) -> None:
        said = {"Code": "InvalidAccessKeyId", "Message": f"403 Forbidden secret_key={SECRET}"}
        raise PermissionError(str(ClientError({"Error": said}, "ListObjectsV2")))

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", refuse)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DpprofError, match=r"may not be read .*log in") as caught:
        load("s3://bucket/runs/1f1b")
    assert SECRET not in str(caught.value)


def test_a_store_that_is_gone(s3: Any, fetched: list[str], monkeypatch: Any) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.core.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DpprofError, match="cannot be read") as caught:
        load("s3://bucket/runs/1f1b")
    assert SECRET not in str(caught.value)


def test_reports_and_baselines_in_a_bucket(s3: Any, fetched: list[str]) -> None:
    words = ["baseline", "save", str(RUN), "-o", "s3://bucket/baseline.json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.exception
    assert "dpprof gate RUN --baseline s3://bucket/baseline.json" in result.output
    assert read_side("s3://bucket/baseline.json").snapshot.job["ranks"].mean == 4


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a host that serves the sample run over SFTP, with a password."""
    asyncssh = pytest.importorskip("asyncssh")
    pytest.importorskip("paramiko")

    class Host(asyncssh.SSHServer):  # type: ignore[misc, name-defined]
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return password == SECRET

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def serve() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Host,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(RUN.parent)),
        )

    listening = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    yield f"127.0.0.1:{listening.get_port()}"
    loop.call_soon_threadsafe(listening.close)
    loop.call_soon_threadsafe(loop.stop)


def test_a_run_on_a_host(ssh: str, fetched: list[str]) -> None:
    address = f"ssh://me:{SECRET}@{ssh}/1f1b"
    assert load(address).report().ranks == load(RUN).report().ranks
    fetched.clear()
    brought_here(address)
    assert fetched == []


def test_a_host_that_refuses_names_no_password(ssh: str, fetched: list[str]) -> None:
    with pytest.raises(DpprofError, match="may not be read") as caught:
        load(f"ssh://me:wrong-{SECRET}@{ssh}/1f1b")
    assert SECRET not in str(caught.value)


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, Any]]:
    """A fake store of each kind; the hub's library takes its address when it is imported."""
    servers = {
        "gs": fake_stores.Store(fake_stores.GoogleStorage, {}),
        "hf": fake_stores.Store(fake_stores.Hub, {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", servers["gs"].address)
        patch.setenv("HF_ENDPOINT", servers["hf"].address)
        yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["gs", "hf"])
def fake(request: Any, stores: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The address of the sample run in a fake store, and the store."""
    pytest.importorskip({"gs": "gcsfs", "hf": "huggingface_hub"}[request.param])
    import fsspec

    holder = {"gs": "bucket", "hf": "org/name"}[request.param]
    server = stores[request.param]
    server.files = {holder: {f"runs/1f1b/{name}": (RUN / name).read_bytes() for name in NAMES}}
    server.refuse = 0
    monkeypatch.setattr(remote_copy, "may_fork", lambda: False)
    fsspec.get_filesystem_class(request.param).clear_instance_cache()
    yield f"{request.param}://{'datasets/' * (request.param == 'hf')}{holder}/runs/1f1b", server
    fsspec.get_filesystem_class(request.param).clear_instance_cache()


def test_a_run_in_a_fake_store_is_the_same_and_read_once(fake: Any, fetched: list[str]) -> None:
    address, server = fake
    assert load(address).report().ranks == load(RUN).report().ranks
    assert set(fetched) == NAMES
    fetched.clear()
    brought_here(address)
    assert fetched == []
    (files,) = server.files.values()
    files["runs/1f1b/rank1.json.gz"] = files["runs/1f1b/rank0.json.gz"]
    brought_here(address)
    assert fetched == ["rank1.json.gz"]
    fetched.clear()
    assert len(brought_here(f"{address}/rank*.json.gz")) == 4  # type: ignore[arg-type]


def test_what_a_fake_store_does_not_hold(fake: Any, fetched: list[str]) -> None:
    address, _ = fake
    for other in (f"{address}-other", address.replace("bucket", "no").replace("org/", "no/")):
        with pytest.raises(DpprofError, match="no such file or folder there"):
            load(other)
    with pytest.raises(DpprofError, match="holds only the folders 1f1b"):
        load(address.removesuffix("/1f1b"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_fake_store_that_refuses_names_no_token(
    fake: Any, fetched: list[str], status: int, capfd: Any
) -> None:
    address, server = fake
    server.refuse = status
    with pytest.raises(DpprofError, match=r"may not be read .*log in") as caught:
        load(address)
    assert fake_stores.SECRET not in str(caught.value)
    assert fake_stores.SECRET not in capfd.readouterr().err
