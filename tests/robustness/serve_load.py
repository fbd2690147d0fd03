"""The dashboard as a server: many at once, slow ones, foreign ones, a run that changes, a kill.

``python tests/robustness/serve_load.py [RUN]`` prints one line for each.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

TRACES = Path(__file__).parents[2] / "traces"
AT_ONCE = 200
SECONDS = 60.0


class Server:
    """A dashboard in a process of its own."""

    def __init__(self, run: Path) -> None:
        words = ["dashboard", str(run), "--port", "0", "--no-browser"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dpprof", *words], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found[1])
                return
        raise RuntimeError("the dashboard has not started")

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> int:
        """The status of an answer; 0 where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except OSError:
            return 0
        finally:
            connection.close()

    def resident_mb(self) -> int:
        """The memory that it takes now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 10**6


@contextmanager
def serving() -> Iterator[tuple[Server, Path]]:
    """A dashboard over a copy of a sample run."""
    with tempfile.TemporaryDirectory() as folder:
        run = shutil.copytree(TRACES / "dualpipe", Path(folder) / "run")
        server = Server(run)
        try:
            server.ask("/")
            yield server, run
        finally:
            server.process.kill()
            server.process.wait()


def many(ask: Callable[[int], int]) -> str:
    """So many requests at once: how many of each status, and how long all took."""
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = Counter(pool.map(ask, range(AT_ONCE)))
    said = ", ".join(f"{count} x {status}" for status, count in sorted(found.items()))
    return f"{said} in {time.monotonic() - begun:.1f} s"


def main() -> None:
    """Print the table."""
    callback = {"Content_Type": "application/json"}
    with serving() as (server, run):
        before = server.resident_mb()
        print(f"{AT_ONCE} pages at once: {many(lambda _: server.ask('/timeline'))}")
        print(f"{AT_ONCE} exports at once: {many(lambda _: server.ask('/perfetto/run.json.gz'))}")
        malformed = many(
            lambda at: server.ask("/_dash-update-component", "POST", b"{" * (at + 1), **callback)
        )
        print(f"{AT_ONCE} malformed callbacks: {malformed}")
        large = server.ask("/_dash-update-component", "POST", b" " * (17 << 20), **callback)
        print(f"a callback of 17 MiB: {large}")
        print(f"foreign Host: {server.ask('/', Host='evil.example')}")
        print(f"foreign Origin: {server.ask('/', Origin='http://evil.example')}")
        embedded = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
        print(
            f"a page elsewhere asks for an export: {server.ask('/perfetto/x.json.gz', **embedded)}"
        )
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for one in slow:
            one.send(b"GET / HTTP/1.1\r\n")
        begun = time.monotonic()
        status = server.ask("/")
        print(f"a page beside 300 silent connections: {status} in {time.monotonic() - begun:.2f} s")
        for one in slow:
            one.close()
        (run / "rank1.json.gz").write_bytes(b"")
        (run / "run.json").unlink()
        print(f"a page when the run has changed on disk: {server.ask('/timeline')}")
        shutil.rmtree(run)
        print(f"a page when the run is gone: {server.ask('/overlap')}")
        print(f"memory: {before} MB before, {server.resident_mb()} MB after")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        print(f"after SIGKILL: {server.ask('/')} (no answer)")
    with serving() as (server, _):
        server.process.terminate()
        print(f"SIGTERM: exit code {server.process.wait(SECONDS)}")


if __name__ == "__main__":
    main()
