"""What a configuration of the planner costs: all schedules on 16 ranks, 16 to 78 micro-batches.

    python tests/benchmarks/bench_plan.py [--times 5]

Processor time of one core, so that other work on the machine counts little; the least of all times.
"""

from __future__ import annotations

import argparse
import time

from dpprof.costs import load_costs
from dpprof.plan.answer import answer
from dpprof.plan.question import Question

_GOAL_MS = 1.0


def main() -> None:
    """Ask once to warm up, then so many times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    question = Question(
        ranks=16,
        pps=(16,),
        costs=load_costs("deepseek-v3"),
        layers=64,
        micro_batches=tuple(range(16, 80, 2)),
    )
    rows = len(answer(question).rows)
    spent = []
    for _ in range(options.times):
        began = time.process_time()
        answer(question)
        spent.append((time.process_time() - began) / rows * 1e3)
    print(
        f"{rows} configurations: {min(spent):.2f} ms each "
        f"({', '.join(f'{one:.2f}' for one in spent)}),"
        f" goal {_GOAL_MS} ms"
    )


if __name__ == "__main__":
    main()
