"""Serves the dashboard with a production server, to this machine alone unless told otherwise."""

from __future__ import annotations

import hmac
import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from dash import Dash
    from flask import Flask, Response

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
_THREADS = 12  # more than the connections that a browser opens
_LIMITS: dict[str, Any] = {
    "connection_limit": 900,  # below the 1024 open files that most systems allow
    "channel_timeout": 20,  # seconds that a connection may say nothing
    "cleanup_interval": 5,
    "max_request_body_size": 16 << 20,
    "asyncore_use_poll": True,
}
"""So that connections which send nothing do not shut out others."""
_COOKIE = "dpprof-token"
_CALLBACK = "/_dash-update-component"
_COMPONENTS = "/_dash-component-suites/"
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


def serve(
    app: Dash, listener: socket.socket, host: str, ready: Callable[[], Any], token: str = ""
) -> None:
    """Answer requests until interrupted; calls `ready` when the first one may come.

    With a `token`, only those who know it: see `guard`.
    """
    from waitress import create_server

    guard(app.server, host, token)
    # A request that waits a moment for a thread is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(
        app.server, sockets=[listener], threads=_THREADS, ident="dpprof", **_LIMITS
    )
    try:
        with suppress(KeyboardInterrupt):  # also while it says where it is
            ready()
            server.run()
    finally:
        server.close()


def new_token() -> str:
    """A word that nobody can guess, for those who may see the runs."""
    return secrets.token_urlsafe(24)


def guard(server: Flask, host: str, token: str = "") -> None:
    """Refuse requests that a page elsewhere could make in this browser; allow nothing foreign.

    A name of another site that is made to point here (DNS rebinding) is not among the hosts that
    are answered. Where `host` is no local one, people come by names that are not known here; then
    a `token` in the address, which becomes a cookie, tells who may. Only a plain visit may come
    from a page elsewhere, not what it embeds, fetches or sends.
    """
    from flask import abort, redirect, request
    from werkzeug.exceptions import HTTPException

    def check_host() -> None:
        name = urlsplit(f"//{request.host}").hostname or ""
        if host in LOCAL_HOSTS and name not in LOCAL_HOSTS:
            abort(403)

    def check_origin() -> None:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            abort(403)
        visit = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        visit = visit and request.headers.get("Sec-Fetch-Dest") == "document"
        is_page = "." not in request.path
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and not (visit and is_page):
            abort(403)

    def check_token() -> Any:
        if not token or _same(request.cookies.get(_COOKIE, ""), token):
            return None
        if not _same(request.args.get("token", ""), token):
            abort(403, "Open the address with the token that `dpprof dashboard` printed.")
        answer = redirect(request.path)
        answer.set_cookie(_COOKIE, token, httponly=True, samesite="Lax")
        return answer

    def refuse(error: Exception) -> Any:
        """What Dash cannot make sense of is the client's fault; callbacks answer for their own."""
        if isinstance(error, HTTPException):
            return error
        if request.path.startswith(_COMPONENTS):
            return "no such component", 404
        if request.path == _CALLBACK:
            return "not a callback of this dashboard", 400
        raise error

    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        # A page elsewhere that opens this one gets no handle of it.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        return response

    server.before_request(check_host)
    server.before_request(check_origin)
    server.before_request(check_token)
    server.register_error_handler(Exception, refuse)
    server.after_request(add_headers)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
