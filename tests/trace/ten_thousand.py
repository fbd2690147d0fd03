"""Analyze random jobs and count what was said of them: on demand, as it takes long.

    python -m tests.trace.ten_thousand --count 10000 [--first 0] [--kind clocks]

Prints, by kind of fault, how many jobs were right in every figure, how many had figures that are
n/a or "at least" with evidence, how many were refused with a reason, and how many were wrong
without a word: the goal is none. Exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.trace.judge_jobs import PARTLY, REFUSED, RIGHT, WRONG, judged
from tests.trace.random_jobs import FAULTS, planted


def fault_of(number: int, kinds: list[str]) -> tuple[str, str]:
    """The kind of fault of a job and what it is: each in turn."""
    kind = kinds[number % len(kinds)]
    faults = FAULTS[kind] or ("nothing",)
    return kind, faults[number // len(kinds) % len(faults)]


def main() -> None:
    """Count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(FAULTS), action="append")
    chosen = parser.parse_args()
    os.environ["DPPROF_CACHE"] = "off"
    kinds, counts = chosen.kind or list(FAULTS), Counter()
    begun = time.monotonic()
    for number in range(chosen.first, chosen.first + chosen.count):
        kind, fault = fault_of(number, kinds)
        verdict = judged(planted(number, fault))
        counts[kind, verdict.word] += 1
        for text in verdict.wrong[:2]:
            print(f"WRONG job {number} ({fault}): {text}", flush=True)
        if number % 100 == 99:
            print(f"{number + 1 - chosen.first} jobs, {_summed(counts)}", flush=True)
    for kind in kinds:
        words = ", ".join(f"{counts[kind, w]} {w}" for w in (RIGHT, PARTLY, REFUSED, WRONG))
        print(f"{kind:8} {words}")
    print(f"{chosen.count} jobs in {time.monotonic() - begun:.0f} s: {_summed(counts)}")
    sys.exit(any(word == WRONG for _, word in counts))


def _summed(counts: Counter[tuple[str, str]]) -> str:
    sums: Counter[str] = Counter()
    for (_, word), count in counts.items():
        sums[word] += count
    return ", ".join(f"{sums[word]} {word}" for word in (RIGHT, PARTLY, REFUSED, WRONG))


if __name__ == "__main__":
    main()
