"""A dashboard in a headless Chromium: `browser_page(url)` opens it, and no test may leave an error.

After every test these are failures: a console error, an exception in the page, an answer with an
error status, a request to anything but the dashboard's own server, an answer to a callback of
more than 1 MB. A test that provokes one takes it off `problems` after it has looked at it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dpprof.errors import DpprofError
from tests.dashboards.browser.chromium import find_chromium, headless_browser, served
from tests.dashboards.browser.tabs import Tabs
from tests.dashboards.browser.watch import Watch, settle_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from dpprof.dashboards.data.library import Library

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Served:
    """A dashboard that is served: where, and the library behind it to compare with."""

    url: str
    library: Library


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser that all tests share; skips where there is none."""
    try:
        find_chromium()
    except DpprofError as error:
        pytest.skip(str(error))
    with headless_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def tabs(browser: Browser) -> Iterator[Tabs]:
    """The tabs that tests hand on to one another."""
    tabs = Tabs(browser, Watch("http://127.0.0.1:"))
    yield tabs
    tabs.close()


@pytest.fixture
def watch(tabs: Tabs) -> Watch:
    """What has gone wrong since the test began."""
    tabs.watch.problems.clear()
    tabs.watch.answers.clear()
    return tabs.watch


@pytest.fixture
def problems(watch: Watch) -> list[str]:
    """What went wrong in the pages of this test so far."""
    return watch.problems


@pytest.fixture
def browser_page(
    request: pytest.FixtureRequest, tabs: Tabs, watch: Watch
) -> Iterator[Callable[..., Page]]:
    """``browser_page(url, size=(1366, 768), color_scheme="light", **options)``: shows it, settled.

    With `options`, those of Playwright's ``Browser.new_context``, or with ``fresh=True``, the page
    is loaded anew; else a tab of an earlier test is led there, as a link within the page would.
    """

    def open_page(url: str, size: tuple[int, int] = (1366, 768), **options: Any) -> Page:
        fresh = options.pop("fresh", False)
        if fresh or options.keys() - {"color_scheme"}:
            return tabs.load(url, size, **options)
        return tabs.take(url, size, options.get("color_scheme", "light"))

    failed = request.session.testsfailed
    yield open_page
    wrong = [*watch.problems, *watch.too_big()]
    tabs.give_back(sound=not wrong and request.session.testsfailed == failed)
    assert wrong == []


@pytest.fixture
def settle(watch: Watch) -> Callable[[Page], None]:
    """``settle(page)`` waits until the page has nothing more to load or to compute."""
    return lambda page: settle_page(page, watch)


@pytest.fixture(scope="session")
def samples() -> Iterator[Served]:
    """The dashboard of the sample runs in traces/, 1F1B the baseline."""
    yield from _serve(ROOT / "traces" / "dualpipe", ROOT / "traces" / "1f1b")


@pytest.fixture(scope="session")
def pp8_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DualPipe and 1F1B on eight emulated ranks: real processes, messages and traces."""
    folder = _shared(tmp_path_factory) / "pp8"
    with _locked(folder.with_suffix(".lock")):
        if not folder.exists():
            _profile_pair(folder.with_suffix(".part"))
            folder.with_suffix(".part").rename(folder)
    return folder


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run of the tests have."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _profile_pair(folder: Path) -> None:
    size = ["--pp", "8", "--micro-batches", "16", "--num-steps", "1"]
    how = ["--device", "emulated", "--costs", "unit-components", "-o", str(folder)]
    profile = [sys.executable, "-m", "dpprof", "profile", "--schedule", "dualpipe,1f1b"]
    done = subprocess.run([*profile, *size, *how], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


@pytest.fixture
def scene(pp8: Any) -> Any:
    """The picture that the timeline opens with, 1366 pixels wide."""
    from dpprof.dashboards.timeline.scene import Wanted, make_scene, plot_width

    runs = [pp8.library.get(id) for id in pp8.library.ids]
    return make_scene(pp8.library, runs, Wanted(width_px=plot_width(1366)))


@pytest.fixture
def timeline(pp8: Any, browser_page: Callable[..., Page]) -> Page:
    from tests.dashboards.browser.timeline_page import opened

    return opened(browser_page, f"{pp8.url}timeline")
