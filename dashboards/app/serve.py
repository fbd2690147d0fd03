"""Serves the dashboard with a production server, to this machine alone unless told otherwise."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from dash import Dash
    from flask import Flask, Response

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_THREADS = 12  # more than the connections that a browser opens
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises `DpprofError` where it cannot (0: any free port)."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DpprofError(f"--host {host}: no such address here ({error})") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise DpprofError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port, "
            "or --port 0 for any free one"
        ) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The URL to open for a listening socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"


def serve(app: Dash, listener: socket.socket, host: str, ready: Callable[[], Any]) -> None:
    """Answer requests until interrupted; calls `ready` when the first one may come."""
    from waitress import create_server

    guard(app.server, host)
    # A request that waits a moment for a thread is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(app.server, sockets=[listener], threads=_THREADS, ident="dpprof")
    ready()
    try:
        server.run()
    finally:
        server.close()


def guard(server: Flask, host: str) -> None:
    """Refuse requests that a page elsewhere could make in this browser; allow nothing foreign.

    A name of another site that is made to point here (DNS rebinding) is not among the hosts that
    are answered. Where `host` is no local one, people come by names that are not known here.
    """
    from flask import abort, request

    def check_host() -> None:
        name = urlsplit(f"//{request.host}").hostname or ""
        if host in LOCAL_HOSTS and name not in LOCAL_HOSTS:
            abort(403)

    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        # A page elsewhere that opens this one gets no handle of it.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        return response

    server.before_request(check_host)
    server.after_request(add_headers)
