"""``dpprof dashboard``: runs in the browser."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpprof.commands._config import user_patterns
from dpprof.commands._reading import ReadingOptions, reading_options
from dpprof.commands.analyze import BASELINE_SCHEDULE, run_folders
from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from dpprof.dashboards.data.library import Library
    from dpprof.runs.run import Run

DEFAULT_PORT = 8050
_WORTH_A_WORD = 200_000
"""Activities whose analysis takes so long that somebody might wonder."""

_EVERY_S = 2.0
_NEEDED = ("flask_compress", "dash", "plotly", "waitress")


@click.command(short_help="Show RUN in the browser, beside a baseline.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--baseline",
    metavar="RUN",
    help="The run to compare with. [default: the last RUN; of a folder with several, its 1f1b, or "
    "the one that was made first]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--watch", is_flag=True, help="Add runs that appear below RUN meanwhile.")
@click.option("--steps", metavar="N[-M],...", help="Steps to use, by their numbers in the trace.")
@click.option("--whole-trace", is_flag=True, help="Take everything as one window.")
@reading_options
def command(
    runs: tuple[str, ...],
    baseline: str | None,
    host: str,
    port: int,
    no_browser: bool,
    watch: bool,
    executor: str,
    scheduler: str | None,
    step_range: str,
    **wanted: Any,
) -> None:
    """Show RUN in the browser: timeline, bubbles, overlap, memory, beside a baseline.

    RUN is a run folder, a folder that holds several, a folder or glob of trace files, or one
    trace file. Serves this machine alone until Ctrl-C, which ends it with exit code 0.
    """
    check_installed("the dashboard", _NEEDED)
    from dpprof.dashboards.app.serve import LOCAL_HOSTS, address_of, listen, new_token, serve

    listener = listen(host, port)
    if watch:
        _await_first(runs)
    library = load_library(runs, baseline, ReadingOptions(executor, scheduler, step_range), wanted)
    from dpprof.dashboards.app.app import make_app
    from dpprof.dashboards.app.watch import Watcher

    watcher = Watcher(library, lambda words: click.echo(words, err=True)) if watch else None
    app = make_app(library)
    if host not in LOCAL_HOSTS:
        click.echo(
            f"note: --host {host} lets everyone who reaches this machine and knows the token in "
            "the address see these runs, unencrypted; leave it out to serve this machine alone",
            err=True,
        )
    token = "" if host in LOCAL_HOSTS else new_token()
    address = address_of(listener, host) + (f"?token={token}" if token else "")

    def ready() -> None:
        click.echo(f"Dashboard at {address} (Ctrl-C ends it)", err=True)
        threading.Thread(target=_prepare, args=(library,), daemon=True).start()
        if not no_browser:
            click.launch(address)

    stop = watcher.start() if watcher else None
    try:
        serve(app, listener, host, ready, token)
    finally:
        if stop is not None:
            stop.set()


def _await_first(runs: Sequence[str]) -> None:
    """Wait until there is a run in one of the folders, where all of them are still empty."""
    from dpprof.trace.source.files import runs_inside

    folders = [Path(run) for run in runs if Path(run).is_dir()]
    if len(folders) < len(runs) or any(any(one.iterdir()) for one in folders):
        return
    click.echo(f"Waiting for the first run in {', '.join(runs)} (Ctrl-C ends it)", err=True)
    while not any(runs_inside(one) for one in folders):
        time.sleep(_EVERY_S)


def load_library(
    runs: Sequence[str], baseline: str | None, reading: ReadingOptions, wanted: dict[str, Any]
) -> Library:
    """All runs and the baseline, ready to be shown; wanted: more of `load_run`'s arguments."""
    from dpprof.dashboards.data.library import Library, path_ids
    from dpprof.dashboards.data.shelf import Shelf

    paths = [path for run in runs for path in run_folders(run)]
    base = _baseline(paths, baseline) if baseline or len(runs) > 1 else _usual_baseline(paths)
    ids = path_ids(paths)

    def loader(path: str) -> Any:
        return lambda: _load(path, reading, wanted)

    loaders = {id: loader(path) for id, path in zip(ids, paths, strict=True)}
    where = dict(zip(ids, paths, strict=True))
    shelf = Shelf(tuple(run for run in runs if Path(run).is_dir()), loader)
    library = Library(loaders, "" if base is None else ids[base], where, shelf)
    for id in ids:
        library.get(id)
    return library


def _prepare(library: Library) -> None:
    """Make what the timeline needs while the first page is looked at; it says how far it is."""
    from dpprof.dashboards.timeline.scene import index_of

    for id in library.ids:
        index_of(library, library.get(id))


def _baseline(paths: list[str], baseline: str | None) -> int | None:
    """The position of the baseline among the paths, to which it is added where it is missing."""
    if baseline is None:
        return len(paths) - 1 if len(paths) > 1 else None
    found = run_folders(baseline)
    if len(found) != 1:
        raise DpprofError(f"--baseline {baseline}: holds several runs; name one of them")
    if found[0] not in paths:
        paths.append(found[0])
    return paths.index(found[0])


def _usual_baseline(paths: list[str]) -> int | None:
    """Of the runs in one folder its 1f1b, which comes last, else the one that was made first."""
    if len(paths) < 2 or Path(paths[-1]).name == BASELINE_SCHEDULE:
        return _baseline(paths, None)
    made = [_created(Path(path)) for path in paths]
    return min(range(len(paths)), key=lambda number: (made[number], number))


def _created(path: Path) -> str:
    """When a run was made, ISO 8601; what does not say comes last."""
    manifest = path / MANIFEST_NAME
    try:
        return (read_manifest(manifest).created if manifest.exists() else "") or "~"
    except DpprofError:
        return "~"


def _load(path: str, reading: ReadingOptions, wanted: dict[str, Any]) -> Run:
    from dpprof.trace.load import load_run

    with reading.shown() as how:
        run = load_run(path, patterns=user_patterns(), reading=how, **wanted)
    if run.held.count >= _WORTH_A_WORD and sys.stderr.isatty():
        click.echo(f"Analyzing {run.name}: {run.held.count:,} activities", err=True)
    return run


def check_installed(what: str, needed: Sequence[str]) -> None:
    """Raise `DpprofError` where a package that `what` needs is missing."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise DpprofError(f"{what} needs {', '.join(missing)}: pip install 'dpprof[dashboard]'")
