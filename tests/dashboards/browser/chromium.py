"""A headless Chromium on a dashboard served beside it: for screenshots and for the tests."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dpprof.errors import DpprofError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_VARIABLE = "DPPROF_CHROMIUM"


def find_chromium() -> str:
    """The program that is a Chromium: what ``DPPROF_CHROMIUM`` names, else one on the path.

    Raises `DpprofError` where there is none, or where Playwright, which drives it, is missing.
    """
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        raise DpprofError("Playwright is missing; pip install playwright") from error
    wanted = os.environ.get(_VARIABLE)
    found = (shutil.which(name) for name in ([wanted] if wanted else _NAMES))
    program = next((one for one in found if one is not None), None)
    if program is None:
        raise DpprofError(
            f"no Chromium on this machine; install one (Debian: apt-get install chromium) or name "
            f"it in {_VARIABLE}"
        )
    return program


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """A running headless Chromium. Raises `DpprofError` where there is none."""
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # /dev/shm is 64 MB in many containers, which Chromium does not survive.
        arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(wsgi: Any) -> Iterator[str]:
    """The address, on a free port of 127.0.0.1, at which a WSGI application is served meanwhile."""
    from waitress.server import create_server

    server: Any = create_server(wsgi, host="127.0.0.1", port=0, threads=4)

    def run() -> None:
        # The socket is closed by another thread, which may be while this one waits for it.
        with suppress(OSError):
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/"
    finally:
        server.close()
        thread.join(timeout=5)
