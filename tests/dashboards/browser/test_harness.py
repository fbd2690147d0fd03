"""What the harness is for it must see: a page with a fault, and only such a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboards.browser.chromium import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = {
    "/fine": "<script>console.log('a'); console.warn('b')</script>",
    "/console": "<script>console.error('wrong')</script>",
    "/plotly": "<script>console.trace('WARN: no such colour')</script>",
    "/exception": "<script>throw Error('thrown')</script>",
    "/elsewhere": "<script src='http://127.0.0.2:9/cdn.js'></script>",
    "/missing": "<script src='/none.js'></script>",
    "/big": "<script>fetch('/_dash-update-component')</script>",
}


@pytest.fixture(scope="session")
def faulty() -> Iterator[str]:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/_dash-update-component":
            body = b"x" * 1_000_001
        else:
            body = f"<!doctype html><link rel=icon href=data:,>{PAGES.get(path)}".encode()
        status = "200 OK" if path in PAGES or path.startswith("/_") else "404 Not Found"
        start(status, [("Content-Type", "text/html"), ("Content-Length", str(len(body)))])
        return [body]

    with served(answer) as url:
        yield url.rstrip("/")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/fine", []),
        ("/console", ["console: wrong"]),
        ("/plotly", ["console: WARN: no such colour"]),
        ("/exception", ["exception: thrown"]),
        (
            "/elsewhere",
            [
                "request to elsewhere: http://127.0.0.2:9/cdn.js",
                "request failed: http://127.0.0.2:9/cdn.js: net::ERR_UNSAFE_PORT",
                "console: Failed to load resource: net::ERR_UNSAFE_PORT",
            ],
        ),
    ],
)
def test_faults_are_seen(
    faulty: str,
    path: str,
    found: list[str],
    browser_page: Callable[..., Page],
    problems: list[str],
) -> None:
    browser_page(faulty + path, fresh=True)
    assert sorted(problems) == sorted(found)
    problems.clear()


def test_missing_files_are_seen(
    faulty: str, browser_page: Callable[..., Page], problems: list[str]
) -> None:
    browser_page(f"{faulty}/missing", fresh=True)
    assert f"answer 404: {faulty}/none.js" in problems
    problems.clear()


def test_big_answers_are_seen(faulty: str, browser_page: Callable[..., Page], watch: Any) -> None:
    browser_page(f"{faulty}/big", fresh=True)
    assert watch.too_big() == ["1000001 bytes: None"]
    watch.answers.clear()
