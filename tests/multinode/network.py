"""Hosts that are network namespaces: each has its own address, its own link, its own folders.

Needs Linux, root and ``ip`` (iproute2). Whatever is left of an earlier one is removed first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEVICE = "eth0"


@dataclass(frozen=True)
class Host:
    """A network namespace on the bridge."""

    number: int
    site: str = "dpp"

    @property
    def outside(self) -> str:
        """The end of its link that is on the bridge."""
        return f"{self.site}v{self.number}"

    @property
    def name(self) -> str:
        """Of the namespace."""
        return f"{self.site}{self.number}"

    @property
    def address(self) -> str:
        """Of its only link."""
        return f"10.77.0.{self.number + 1}"

    def start(
        self, words: Sequence[str | Path], log: Path, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a command there, with its output in a file."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *self._as_host(), *map(str, words)],
                env=os.environ | {"GLOO_SOCKET_IFNAME": DEVICE} | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _as_host(self) -> list[str]:
        """With a name of its own: clocks are taken to be one host's where its name is."""
        return ["unshare", "--uts", "sh", "-c", f'hostname {self.name} && exec "$@"', "sh"]

    def cut_off(self) -> None:
        """Take its link down: what is sent is lost, and nobody is told."""
        run("ip", "link", "set", self.outside, "down")

    def slow_down(self, milliseconds: int, kilobits: int) -> str:
        """Delay what it sends, or where the kernel cannot (no netem), let little through."""
        how = ["netem", "delay", f"{milliseconds}ms"]
        if self._shape(how):
            return " ".join(how)
        how = ["tbf", "rate", f"{kilobits}kbit", "burst", "8kb", "latency", "10s"]
        if not self._shape(how):
            raise RuntimeError("the kernel has neither netem nor tbf")
        return " ".join(how)

    def _shape(self, how: Sequence[str]) -> bool:
        words = ["tc", "-n", self.name, "qdisc", "add", "dev", DEVICE, "root", *how]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def connections(self) -> int:
        """How many TCP connections it holds to other hosts."""
        words = ["ip", "netns", "exec", self.name, "cat", "/proc/net/tcp"]
        table = subprocess.run(words, capture_output=True, check=False, text=True).stdout
        rows = [line.split() for line in table.splitlines()[1:]]
        local = "0100007F:"
        return sum(row[3] == "01" and not row[2].startswith(local) for row in rows)


def run(*words: str) -> None:
    """Run a command that must work."""
    subprocess.run(words, check=True, capture_output=True)


def why_not() -> str:
    """Why namespaces cannot be had here; empty where they can."""
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    done = subprocess.run(["ip", "netns", "add", "dpp-try"], capture_output=True, check=False)
    if done.returncode:
        return f"no network namespaces: {done.stderr.decode().strip()}"
    run("ip", "netns", "del", "dpp-try")
    return ""


@contextmanager
def hosts(count: int, site: str = "dpp") -> Iterator[list[Host]]:
    """So many hosts on one bridge, gone afterwards; sites know nothing of one another."""
    found = [Host(number, site) for number in range(count)]
    bridge = f"{site}br"
    _remove(found, bridge)
    try:
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "link", "set", bridge, "up")
        for host in found:
            _add(host, bridge)
        yield found
    finally:
        _remove(found, bridge)


def _add(host: Host, bridge: str) -> None:
    run("ip", "netns", "add", host.name)
    link = ("ip", "link", "add", host.outside, "type", "veth", "peer", "name", DEVICE)
    run(*link, "netns", host.name)
    run("ip", "link", "set", host.outside, "master", bridge)
    run("ip", "link", "set", host.outside, "up")
    run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", DEVICE)
    for device in (DEVICE, "lo"):
        run("ip", "-n", host.name, "link", "set", device, "up")


def _remove(found: Sequence[Host], bridge: str) -> None:
    for words in (
        *(["ip", "netns", "del", host.name] for host in found),
        *(["ip", "link", "del", host.outside] for host in found),
        ["ip", "link", "del", bridge],
    ):
        subprocess.run(words, capture_output=True, check=False)
