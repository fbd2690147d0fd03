"""What goes wrong in a page of the dashboard, and when it has come to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page, Request, Response

MOST_BYTES = 1_000_000
CALLBACK = "_dash-update-component"
MOMENT = """() => new Promise(
    done => setTimeout(() => requestIdleCallback(done, {timeout: 2000}), 50))"""
"""A twentieth of a second, and longer where the page is still at work."""
IDLE = "() => !document.querySelector('[data-dash-is-loading=true]')"


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
