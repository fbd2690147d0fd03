"""Times a first read against reads from the cache: a single-rank trace of 200 MB or more.

Usage: ``python tests/benchmarks/bench_store.py [TRACE]``. The trace (default: one of the public
ones in ``../shared/data``) is repeated until it has 200 MB. "Loaded" is a run with its whole
events table in memory; "accounted" has the report too. Best of three reads from the cache.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from big_trace import make_big_trace

from dpprof.analysis.report.analyze import analyze
from dpprof.store.place import any_place
from dpprof.store.tidy import list_entries
from dpprof.trace.load import load_run

DEFAULT = Path(__file__).parents[3] / "shared" / "data" / "nanogpt_8_h100" / "rank0.json.gz"
WANTED_BYTES = 200_000_000


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The best of so many times."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def big_trace(source: Path, target: Path) -> int:
    """Repeat `source` until it has 200 MB; gives the bytes written."""
    single = make_big_trace(source, target, 1)
    return make_big_trace(source, target, -(-WANTED_BYTES // single))


def compare(trace: Path) -> None:
    """Print the figures for one trace; the cache must be empty."""

    def loaded() -> int:
        return len(load_run(trace).events)

    first = seconds(loaded)
    again = seconds(loaded, 3)
    lazily = seconds(lambda: load_run(trace), 3)
    accounted = seconds(lambda: analyze(load_run(trace)), 3)
    size = sum(kept.size_bytes for kept in list_entries(any_place()))
    print(f"{loaded()} activities, {size / 1e6:.1f} MB in the cache")
    print(f"first read, and kept              {first:7.3f} s")
    print(f"from the cache, whole table       {again:7.3f} s   {first / again:5.1f} x faster")
    print(f"from the cache, events not asked  {lazily:7.3f} s   {first / lazily:5.1f} x faster")
    print(f"from the cache, and accounted     {accounted:7.3f} s")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", nargs="?", type=Path, default=DEFAULT)
    source = parser.parse_args().trace
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DPPROF_CACHE_DIR"] = str(Path(folder) / "cache")
        trace = Path(folder) / "rank0.json"
        print(f"{source.name}, repeated to {big_trace(source, trace) / 1e6:.0f} MB")
        load_run(source)  # imports and warms up
        compare(trace)


if __name__ == "__main__":
    main()
