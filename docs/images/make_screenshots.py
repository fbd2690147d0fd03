"""Makes the pictures of the dashboard in ``docs/images/``: ``make screenshots``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from docs.images.shrink_png import shrunk
from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.data.library import Library, LibraryRun, Loader, path_ids
from dpprof.dashboards.view.links import region_link
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.errors import DpprofError
from dpprof.tables.kinds import BUBBLE_DEPENDENCY
from dpprof.trace.load import load_run
from tests.dashboards.browser.chromium import headless_browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZES = {"small": (1366, 768), "large": (1920, 1080)}
_SETTLED = "() => !document.querySelector('[data-dash-is-loading=true]')"
_QUIET_MS = 500


@dataclass(frozen=True)
class Shot:
    """A picture: its file, and the address of the view; `scroll` is a test id to begin at."""

    name: str
    view: str
    theme: str = "light"
    scroll: str = ""


def shots(library: Library) -> Iterator[Shot]:
    """The pictures of two runs, the second the baseline, in the order of the documentation."""
    first = library.get(library.ids[0])
    yield Shot("overview", "/overview")
    yield Shot("timeline", "/timeline")
    yield Shot("bubble", _bubble(library, first), "dark")
    yield Shot("overlap", "/overlap")
    yield Shot("bubbles", "/bubbles")
    yield Shot("memory", "/memory")
    yield Shot("steps", "/steps", "dark")
    yield Shot("critical-path", "/critical_path")
    yield Shot("kinds", "/kinds")
    yield Shot("diff", "/diff", scroll="diff-waterfall-panel")
    yield Shot("runs", "/runs")
    other = f"/what_if?o.costs={library.ids[-1]}&o.schedule={_schedule_of(first)}"
    yield Shot("what-if", other, "dark", "what-if-headlines")


def _schedule_of(run: LibraryRun) -> str:
    return "dualpipe" if run.run.schedule is None else run.run.schedule.name


def _bubble(library: Library, run: LibraryRun) -> str:
    """Where the longest bubble that waits for a peer, amid the first step, is selected."""
    step = run.report.per_step[0].step
    waits = [
        one
        for one in run.report.regions
        if (one.state, one.phase, one.step) == (BUBBLE_DEPENDENCY, "steady", step)
    ]
    if not waits:
        return "/timeline"
    context = Context(library, ViewState(page="timeline", runs=(run.id,)), LIGHT)
    return region_link(context, run, max(waits, key=lambda one: one.length_ns))


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("docs/images"),
    show_default=True,
    help="Folder for the pictures; those of the same names are replaced.",
)
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default="small",
    show_default=True,
    help="Size of the window: 1366x768 or 1920x1080.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only these pictures.")
@click.option("--themes", is_flag=True, help="Every picture light and dark, to look at them all.")
def command(
    runs: tuple[str, ...], folder: Path, size: str, only: tuple[str, ...], themes: bool
) -> None:
    """Take the pictures of RUNs, the last of them the baseline, in a headless Chromium."""
    ids = path_ids(runs)
    library = Library(dict(zip(ids, map(_loader, runs), strict=True)), ids[-1])
    for id in ids:
        library.get(id)  # no picture waits for a run to be read
    wanted = [shot for shot in shots(library) if not only or shot.name in only]
    folder.mkdir(parents=True, exist_ok=True)
    with served(make_app(library).server) as url, headless_browser() as browser:
        for shot in wanted:
            for theme in ("light", "dark") if themes else (shot.theme,):
                name = f"{shot.name}-{theme}" if themes else shot.name
                file = folder / f"{name}.png"
                take(
                    browser, url, Shot(shot.name, shot.view, theme, shot.scroll), file, SIZES[size]
                )
                click.echo(f"Wrote {file} ({file.stat().st_size / 1000:.0f} kB)")


def _loader(path: str) -> Loader:
    return lambda: load_run(path)


def take(browser: Browser, url: str, shot: Shot, file: Path, size: tuple[int, int]) -> None:
    """Write the picture of a view as it looks when it has come to rest."""
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if shot.theme == "dark" else "light",
        reduced_motion="reduce",
    )
    page.goto(url.rstrip("/") + shot.view)
    page.wait_for_load_state("networkidle")
    page.wait_for_function(_SETTLED)
    if shot.scroll:
        top = page.get_by_test_id(shot.scroll).bounding_box()
        header = page.locator("header").bounding_box()
        if top is None or header is None:
            raise DpprofError(f"{shot.view}: shows no {shot.scroll}; the page has changed")
        page.mouse.wheel(0, top["y"] - header["height"] - 8)
    page.wait_for_timeout(_QUIET_MS)
    picture = page.screenshot()
    page.goto("about:blank")
    file.write_bytes(shrunk(picture))
    page.close()


if __name__ == "__main__":
    command()
