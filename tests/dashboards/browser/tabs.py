"""Tabs that tests share: the next test's address is opened within the page that is there.

A page that loads costs seconds, most of them for the libraries in it; a view of it costs a half.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.dashboards.browser.watch import Watch, settle_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

GO = """([path, search]) => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
    dash_clientside.set_props('url', {pathname: path, search: search});
}"""
Key = tuple[str, tuple[int, int], str]


@dataclass
class Tabs:
    """Pages by their server, size and colours; a test has those that it took to itself."""

    browser: Browser
    watch: Watch
    free: dict[Key, list[Page]] = field(default_factory=dict)
    taken: list[tuple[Key | None, Page]] = field(default_factory=list)

    def take(self, url: str, size: tuple[int, int], scheme: str) -> Page:
        """A tab that shows `url`, loaded only where none of its server is free."""
        address = urlsplit(url)
        key = (address.netloc, size, scheme)
        if not self.free.get(key):
            return self._loaded(key, url, size, {"color_scheme": scheme})
        page = self.free[key].pop()
        self.taken.append((key, page))
        if urlsplit(page.url).path == address.path:  # drawn anew, whatever was done to it
            self._go(page, "/kinds" if address.path == "/runs" else "/runs", "")
        self._go(page, address.path, f"?{address.query}" if address.query else "")
        return page

    def load(self, url: str, size: tuple[int, int], **options: Any) -> Page:
        """A new tab that loads `url`, for the test alone."""
        return self._loaded(None, url, size, options)

    def give_back(self, *, sound: bool) -> None:
        """Takes back the test's tabs; those of a test that failed are closed."""
        for key, page in self.taken:
            size = page.viewport_size or {}
            if sound and key is not None and (size["width"], size["height"]) == key[1]:
                page.mouse.move(0, 0)
                self.free.setdefault(key, []).append(page)
            else:
                page.context.close()
        self.taken.clear()

    def close(self) -> None:
        """Closes the tabs that are free."""
        for pages in self.free.values():
            for page in pages:
                page.context.close()

    def _loaded(self, key: Key | None, url: str, size: tuple[int, int], options: Any) -> Page:
        viewport: Any = {"width": size[0], "height": size[1]}
        page = self.browser.new_context(viewport=viewport, **options).new_page()
        self.taken.append((key, page))
        self.watch.attach(page)
        page.goto(url)
        settle_page(page, self.watch)
        return page

    def _go(self, page: Page, path: str, search: str) -> None:
        page.evaluate(GO, [path, search])
        settle_page(page, self.watch)
