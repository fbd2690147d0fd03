"""What a picture and a zoom of the timeline cost, in time and bytes, over the size of the run.

Usage: ``python tests/benchmarks/bench_dashboard.py [--ranks 64] [--events 78000]`` writes
a run of so many made-up ranks and events a rank (5 million events in all) and one with ten times
fewer, and asks the dashboard's server for the timeline of each, as a browser 1920 pixels wide
would: the whole trace as one step, then ranges ever shorter. Both are asked in turn, so that what
else the machine does is the same for both; figures are medians of processor time. Then pages that
are opened for the first time, the run beside itself.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench_scale import write_rank

from dpprof.dashboards.app.app import make_app
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.dashboards.timeline.scene import index_of
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.runs.workers import map_forked
from dpprof.trace.load import load_run

SCREEN = {"width": 1920, "height": 1080, "dark": False}
SHARES = (1.0, 0.1, 0.01, 0.001, 0.0001)
REPEATS = 25
PAGES = ("overview", "overlap", "diff", "critical_path", "steps")
OUTPUTS = (
    "timeline.figure",
    *(f"timeline-{name}.children" for name in ("legend", "readout", "tools")),
    "timeline-map.src",
    *(f"timeline-{name}.children" for name in ("details", "found")),
    "timeline-drawn.data",
)


class Served:
    """A run that is loaded, and a client of the dashboard that serves it."""

    def __init__(self, folder: Path) -> None:
        start = time.perf_counter()
        run = load_run(folder, whole_trace=True)
        # Beside itself, for the pages that compare.
        self.library = library = Library.of_runs([run, run])
        one = library.get(library.ids[0])
        analyzed = time.perf_counter()
        index_of(library, one)
        index_of(library, library.get(library.ids[1]))
        self.client = make_app(library).server.test_client()
        self.whole_ns = one.report.per_step[0].window_ns
        print(
            f"{run.held.count / 1e6:6.2f} M events, {len(run.places)} ranks: loaded and analyzed "
            f"in {analyzed - start:.1f} s, its index and its double in "
            f"{time.perf_counter() - analyzed:.1f} s"
        )

    def zoom(self, share: float, place: float) -> tuple[float, int]:
        """Processor seconds and bytes of the answer for a range of that share of the step."""
        span = int(self.whole_ns * share)
        start = int((self.whole_ns - span) * place)
        began = time.process_time()
        first = self.library.ids[0]
        size = len(_draw(self.client, f"?runs={first}&t={start}-{start + span}"))
        return time.process_time() - began, size

    def page(self, key: str) -> float:
        """Processor seconds of a page that is opened for the first time, the run beside itself."""
        page = next(one for one in all_pages() if one.key == key)
        state = ViewState(page=key, baseline=self.library.ids[1])
        context = Context(self.library, state, LIGHT)
        began = time.process_time()
        page.layout(context)
        return time.process_time() - began


def _draw(client: Any, search: str) -> bytes:
    """The answer to the request that the page sends."""
    names = OUTPUTS
    outputs = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in names]
    inputs = [
        {"id": "url", "property": "pathname", "value": "/timeline"},
        {"id": "url", "property": "search", "value": search},
        {"id": "screen", "property": "data", "value": SCREEN},
    ]
    body = {
        "output": "..{}..".format("...".join(names)),
        "outputs": outputs,
        "inputs": inputs,
        "state": [{"id": "timeline-drawn", "property": "data", "value": None}],
        "changedPropIds": ["url.search"],
    }
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200, answer.text
    return bytes(answer.data)


def compare(small: Served, big: Served) -> None:
    """Print what zooms cost at both sizes, asked for in turn, and the ratio."""
    print(f"first picture: {small.zoom(1, 0)[0]:.2f} s and {big.zoom(1, 0)[0]:.2f} s")
    print("range of the step      small          big    ratio   largest answer")
    for share in SHARES:
        pairs = [
            (small.zoom(share, place), big.zoom(share, place))
            for place in (number / REPEATS for number in range(REPEATS))
        ]
        before, after = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
        size = max(answer[1] for pair in pairs for answer in pair)
        print(
            f"{share:13.2%}   {1e3 * before:9.1f} ms {1e3 * after:9.1f} ms "
            f"   x{after / before:4.2f} {size / 1e6:11.3f} MB"
        )


def pages(small: Served, big: Served) -> None:
    """Print what pages take that are opened first, and the ratio; serially, as a server does."""
    print("opened first               small          big    ratio")
    for key in PAGES:
        before, after = (one.page(key) for one in (small, big))
        ratio = after / max(before, 1e-3)
        print(f"{key:18s} {before:12.2f} s {after:10.2f} s    x{ratio:5.2f}")


def make(base: Path, ranks: int, events: int) -> Path:
    """A folder with a run of made-up ranks, its tables in the cache."""
    folder = base / f"run{events}"
    folder.mkdir()
    # The files of both sizes say the same: in one cache they would have one entry.
    os.environ["DPPROF_CACHE_DIR"] = str(base / f"cache{events}")
    list(map_forked(partial(write_rank, folder, ranks, events), range(ranks)))
    return folder


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--events", type=int, default=78_000, help="of a rank of the big run")
    parser.add_argument("--less", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        sizes = (given.events // given.less, given.events)
        small, big = (Served(make(Path(base), given.ranks, events)) for events in sizes)
        compare(small, big)
        pages(small, big)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"memory, both runs loaded: {memory / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
