"""A dashboard in a headless Chromium: `browser_page(url)` opens it, and no test may leave an error.

After every test these are failures: a console error, an exception in the page, an answer with an
error status, a request to anything but the dashboard's own server, an answer to a callback of
more than 1 MB. A test that provokes one takes it off `problems` after it has looked at it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.errors import DpprofError
from tests.dashboards.browser.chromium import find_chromium, headless_browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

    from dpprof.dashboards.data.library import Library

ROOT = Path(__file__).resolve().parents[3]
MOST_BYTES = 1_000_000
CALLBACK = "_dash-update-component"
MOMENT = """() => new Promise(
    done => setTimeout(() => requestIdleCallback(done, {timeout: 2000}), 50))"""
"""A twentieth of a second, and longer where the page is still at work."""
IDLE = "() => !document.querySelector('[data-dash-is-loading=true]')"


@dataclass(frozen=True)
class Served:
    """A dashboard that is served: where, and the library behind it to compare with."""

    url: str
    library: Library


@dataclass
class Watch:
    """What goes wrong in a page, and which requests are under way."""

    home: str
    problems: list[str] = field(default_factory=list)
    pending: set[Request] = field(default_factory=set)
    answers: list[Response] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("requestfinished", self._finished)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # plotly says so, as a trace, when a figure asks for what it does not have.
        if message.type == "error" or message.text.startswith("WARN:"):
            self.problems.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        self.pending.add(request)
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.problems.append(f"request to elsewhere: {request.url}")

    def _finished(self, request: Request) -> None:
        self.pending.discard(request)

    def _failed(self, request: Request) -> None:
        self.pending.discard(request)
        # A page that is left, or a download, ends requests early; that is no fault.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.problems.append(f"request failed: {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"answer {response.status}: {response.url}")
        if CALLBACK in response.url:
            self.answers.append(response)

    def too_big(self) -> list[str]:
        """Callbacks whose answers have more bytes than a page may cost."""
        sizes = [(one, one.request.sizes()["responseBodySize"]) for one in self.answers]
        return [
            f"{size} bytes: {one.request.post_data}" for one, size in sizes if size > MOST_BYTES
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser that all tests share; skips where there is none."""
    try:
        find_chromium()
    except DpprofError as error:
        pytest.skip(str(error))
    with headless_browser() as browser:
        yield browser


@pytest.fixture
def watch() -> Watch:
    return Watch("http://127.0.0.1:")


@pytest.fixture
def problems(watch: Watch) -> list[str]:
    """What went wrong in the pages of this test so far."""
    return watch.problems


@pytest.fixture
def browser_page(browser: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """``browser_page(url, size=(1366, 768), **options)``: a new page of `url`, settled.

    `options` are those of Playwright's ``Browser.new_context``, ``color_scheme`` for one.
    """
    contexts = []

    def open_page(url: str, size: tuple[int, int] = (1366, 768), **options: Any) -> Page:
        viewport: Any = {"width": size[0], "height": size[1]}
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        watch.attach(page)
        page.goto(url)
        settle_page(page, watch)
        return page

    yield open_page
    too_big = watch.too_big()
    for context in contexts:
        context.close()
    assert [*watch.problems, *too_big] == []


@pytest.fixture
def settle(watch: Watch) -> Callable[[Page], None]:
    """``settle(page)`` waits until the page has nothing more to load or to compute."""
    return lambda page: settle_page(page, watch)


def settle_page(page: Page, watch: Watch) -> None:
    """Nothing under way for a quarter of a second: callbacks call the next ones after a moment."""
    for _ in range(600):
        page.wait_for_function(IDLE, timeout=60_000)
        quiet = True
        for _ in range(5):
            page.evaluate(MOMENT)
            quiet = quiet and not watch.pending
        if quiet:
            return
    pending = [one.url for one in watch.pending]
    raise AssertionError(f"the page does not come to rest; under way: {pending}")


@pytest.fixture(scope="session")
def samples() -> Iterator[Served]:
    """The dashboard of the sample runs in traces/, 1F1B the baseline."""
    yield from _serve(ROOT / "traces" / "dualpipe", ROOT / "traces" / "1f1b")


@pytest.fixture(scope="session")
def pp8_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DualPipe and 1F1B on eight emulated ranks: real processes, messages and traces."""
    folder = tmp_path_factory.mktemp("pp8")
    size = ["--pp", "8", "--micro-batches", "16", "--num-steps", "1"]
    how = ["--device", "emulated", "--costs", "unit-components", "-o", str(folder / "pair")]
    profile = [sys.executable, "-m", "dpprof", "profile", "--schedule", "dualpipe,1f1b"]
    done = subprocess.run([*profile, *size, *how], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "pair"


@pytest.fixture(scope="session")
def pp8(browser: Browser, pp8_pair: Path) -> Iterator[Served]:
    """The dashboard of DualPipe and 1F1B on eight emulated ranks."""
    yield from _serve(pp8_pair / "dualpipe", pp8_pair / "1f1b")


def _serve(*paths: Path) -> Iterator[Served]:
    from dpprof.dashboards.app.app import make_app
    from dpprof.dashboards.app.serve import guard
    from dpprof.dashboards.data.library import Library, path_ids
    from dpprof.trace.load import load_run

    names = [str(path) for path in paths]
    ids = path_ids(names)
    loaders = {id: (lambda name=name: load_run(name)) for id, name in zip(ids, names, strict=True)}
    library = Library(loaders, baseline="1f1b")
    server = make_app(library).server
    guard(server, "127.0.0.1")  # what its policy forbids is an error in the console
    with served(server) as url:
        yield Served(url, library)
