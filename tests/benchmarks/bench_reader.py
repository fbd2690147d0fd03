"""First read of a big single-rank trace to its accounting, against HTA and bare pysimdjson.

Usage: ``python tests/benchmarks/bench_reader.py [SOURCE] [--bytes N] [--without-hta]``. The trace
is built from a real one (``SOURCE``, a small Kineto trace) by repetition with shifted times, ids,
and steps. Every contender runs in a process of its own, our cache switched off; imports are not
counted. A pysimdjson parse is timed twice in its process: the second does not pay for fresh memory.
HTA is timed from the file to the result of its overlap analysis.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from big_trace import make_big_trace

DEFAULT = Path(__file__).parents[3] / "shared/data/hta/v100_comm_and_memory.json.gz"
REPEATS = 3

READ = """
import json, os, resource, sys, time
from pathlib import Path
{imports}
file = Path(sys.argv[1])
times, idle = [], sum(os.times()[:4])
for _ in range({repeats}):
    start = time.perf_counter()
    {work}
    times.append(time.perf_counter() - start)
    del result
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
busy = sum(os.times()[:4]) - idle
print(json.dumps({{"seconds": times, "peak_mib": peak, "busy": busy}}))
"""

CONTENDERS = {
    "parser alone": (
        "from dpprof.trace.read.parse import read_trace",
        "result = read_trace(file)",
        1,
    ),
    "dpprof": (
        "from dpprof.analysis.accounting.account import account\n"
        "from dpprof.trace.load import load_run",
        "result = account(load_run(file))",
        1,
    ),
    "pysimdjson": (
        "import gzip, simdjson",
        "data = file.read_bytes() if not times else data\n"
        "    if not times: start = time.perf_counter()\n"
        "    result = simdjson.Parser().parse(data)",
        2,
    ),
    "HTA": (
        "from hta.trace_analysis import TraceAnalysis",
        "result = TraceAnalysis(trace_files={0: str(file)}, trace_dir=str(file.parent))"
        ".get_comm_comp_overlap(visualize=False)",
        1,
    ),
}


def measure(name: str, file: Path) -> dict[str, list[float] | float]:
    """Seconds and peak memory (MiB) of one contender in a fresh process."""
    imports, work, repeats = CONTENDERS[name]
    code = READ.format(imports=imports, work=work, repeats=repeats)
    environment = os.environ | {"DPPROF_CACHE": "off"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def best(name: str, file: Path, repeats: int = REPEATS) -> tuple[list[float], float]:
    """The best times of some fresh processes, and the peak memory."""
    runs = [measure(name, file) for _ in range(repeats)]
    times = [min(run["seconds"][i] for run in runs) for i in range(len(runs[0]["seconds"]))]
    return times, max(run["peak_mib"] for run in runs)


def processor_seconds(file: Path) -> float:
    """What dpprof takes of all cores together: other programs on the machine disturb it little."""
    return min(measure("dpprof", file)["busy"] for _ in range(REPEATS))


def packed(file: Path) -> Path:
    """The same trace, packed with gzip."""
    target = file.with_name(file.name + ".gz")
    with file.open("rb") as source, gzip.open(target, "wb", compresslevel=6) as out:
        shutil.copyfileobj(source, out)
    return target


def compare(file: Path, size: int, with_hta: bool) -> None:
    """Print every contender's figures and the ratios of `file`, of `size` unpacked bytes."""
    (parse,), _ = best("parser alone", file)
    (ours,), our_peak = best("dpprof", file)
    first, again = best("pysimdjson", file)[0]
    print(f"parser alone      {parse:7.2f} s, {size / parse / 1e6:5.0f} MB/s")
    print(
        f"dpprof            {ours:7.2f} s, {size / ours / 1e6:5.0f} MB/s, peak {our_peak:.0f} MiB"
    )
    print(f"pysimdjson        {first:7.2f} s; into memory it has used before {again:.2f} s")
    print(f"dpprof takes {ours / first:.2f} times as long as pysimdjson ({ours / again:.2f} times)")
    if with_hta:
        (theirs,), their_peak = best("HTA", file, 1)
        print(
            f"HTA               {theirs:7.2f} s, {size / theirs / 1e6:5.0f} MB/s, "
            f"peak {their_peak:.0f} MiB"
        )
        print(f"dpprof is {theirs / ours:.1f} times as fast as HTA")
        print(f"with {our_peak / their_peak:.2f} of its peak memory")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--bytes", type=int, default=210_000_000)
    parser.add_argument("--without-hta", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rank0.json"
        one = make_big_trace(options.source, file, 1)
        copies = -(-options.bytes // one)
        size = make_big_trace(options.source, file, copies)
        print(f"{options.source.name} {copies} times: {size / 1e6:.0f} MB")
        compare(file, size, not options.without_hta)
        unpacked = best("dpprof", file)[0][0]
        (from_gzip,), _ = best("dpprof", packed(file))
        print(
            f"packed with gzip it takes dpprof {from_gzip:.2f} s, {from_gzip / unpacked:.1f} times"
        )
        smaller = make_big_trace(options.source, file, max(1, copies // 10) if copies > 9 else 1)
        print(f"one copy: {smaller / 1e6:.0f} MB")
        small = processor_seconds(file)
        larger = make_big_trace(options.source, file, 10 * max(1, copies // 10))
        large = processor_seconds(file)
        print(
            f"{larger / smaller:.1f} times the bytes take {large / small:.1f} times the processor "
            f"time ({small:.2f} s, {large:.2f} s)"
        )


if __name__ == "__main__":
    main()
