"""A slow wire between two ranks: what one sends the other passes through a proxy that holds it.

gloo's ranks tell each other their addresses through the store. The one here is in Python, and
gives a rank of the wire another address for its peer, behind which all that comes from the sender
waits a while. Sockets, posts and waits are gloo's own.
"""

from __future__ import annotations

import socket
import threading
import time
from queue import SimpleQueue

import torch.distributed as dist

_FAMILY = b"\x02\x00"  # as Linux keeps it in an address, before port and host
_LOOPBACK = socket.inet_aton("127.0.0.1")
_PIECE = 1 << 16


class StoreWithSlowWire(dist.Store):
    """The keys of another store, but for addresses at the wire (sender, receiver). Has state so."""

    def __init__(self, inner: dist.Store, rank: int, wire: tuple[int, int], delay_s: float) -> None:
        super().__init__()
        self._inner, self._rank, self._wire, self._delay_s = inner, rank, wire, delay_s
        self._own: dict[str, int] = {}

    def set(self, key, value):
        value = value.encode() if isinstance(value, str) else bytes(value)
        group, _, rank = key.rpartition("/")
        if rank == str(self._rank) and _port_at(value):
            self._own[group] = _port_of(value)
        self._inner.set(key, value)

    def get(self, key):
        value = bytes(self._inner.get(key))
        group, _, rank = key.rpartition("/")
        pair = {self._rank, int(rank)} if rank.isdecimal() else set()
        if pair != set(self._wire) or group not in self._own or not _port_at(value):
            return value
        at, peer = _port_at(value), _port_of(value)
        port = _begin_proxy(
            peer, self._own[group], self._delay_s, outwards=self._rank == self._wire[0]
        )
        return value[:at] + port.to_bytes(2, "big") + value[at + 2 :]

    def add(self, key, amount):
        return self._inner.add(key, amount)

    def wait(self, keys, timeout=None):
        return self._inner.wait(keys) if timeout is None else self._inner.wait(keys, timeout)

    def check(self, keys):
        return self._inner.check(keys)

    def set_timeout(self, timeout):
        self._inner.set_timeout(timeout)


def _port_at(value: bytes) -> int:
    """Where the port stands in a rank's address; 0 where it is none of this machine."""
    host = value.find(_LOOPBACK)
    return host - 2 if host >= 4 and value[host - 4 : host - 2] == _FAMILY else 0


def _port_of(value: bytes) -> int:
    at = _port_at(value)
    return int.from_bytes(value[at : at + 2], "big")


def _begin_proxy(peer: int, own: int, delay_s: float, *, outwards: bool) -> int:
    """The port of a proxy to `peer`; of two ranks gloo has the higher one connect: so it stays."""
    listening = [socket.create_server(("127.0.0.1", 0))]
    while _above(listening[-1], own) != _order(peer, own):
        listening.append(socket.create_server(("127.0.0.1", 0)))
    for one in listening[:-1]:
        one.close()
    _thread(_serve, listening[-1], peer, delay_s, outwards)
    return int(listening[-1].getsockname()[1])


def _order(port: int, own: int) -> tuple[bool, bool]:
    """Whether it is above the own one, as a number and as gloo reads its bytes."""
    swapped = [int.from_bytes(one.to_bytes(2, "big"), "little") for one in (port, own)]
    return port > own, swapped[0] > swapped[1]


def _above(server: socket.socket, own: int) -> tuple[bool, bool]:
    return _order(int(server.getsockname()[1]), own)


def _serve(server: socket.socket, peer: int, delay_s: float, outwards: bool) -> None:
    while True:
        here, _ = server.accept()
        there = socket.create_connection(("127.0.0.1", peer))
        for one in (here, there):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _pass_on(here, there, delay_s if outwards else 0.0)
        _pass_on(there, here, 0.0 if outwards else delay_s)


def _pass_on(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    pieces: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def read() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(_PIECE)
            except OSError:
                data = b""
            pieces.put((time.monotonic() + delay_s, data))

    def write() -> None:
        while True:
            due, data = pieces.get()
            time.sleep(max(due - time.monotonic(), 0.0))
            try:
                if not data:
                    return target.shutdown(socket.SHUT_WR)
                target.sendall(data)
            except OSError:
                return None

    _thread(read)
    _thread(write)


def _thread(run, *arguments) -> None:
    threading.Thread(target=run, args=arguments, daemon=True).start()
