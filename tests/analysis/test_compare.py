"""Reports side by side."""

from __future__ import annotations

from dpprof.analysis.report.analyze import analyze
from dpprof.analysis.report.side_by_side import ComparedMetric, compare


def test_figures_are_per_step_and_rank_and_ratios_are_to_the_last(make_run, event) -> None:
    fast = make_run([event(0, 0, 10), event(1, 0, 20), event(0, 10, 14, "p2p", ready_ns=10)])
    slow = make_run(
        [event(rank, 40 * step, 40 * step + 40, step=step) for rank in (0, 1) for step in (0, 1)],
        used_steps=(0, 1),
    )
    comparison = compare([analyze(fast), analyze(slow)])
    metrics = {metric.name: metric for metric in comparison.metrics}
    assert metrics["step time"] == ComparedMetric("step", "step time", "ns", (20, 40))
    assert metrics["step time"].ratios(comparison.baseline) == (0.5, 1.0)
    assert metrics["bubble"].values == (3.0, 0.0)
    assert metrics["bubble"].ratios(comparison.baseline) == (None, None)
    assert metrics["worst rank"].values == (0.3, 0.0)
    assert metrics["p2p exposed"].values == (2.0, None)
    assert "p2p waiting" not in metrics
    assert "tokens/s" not in metrics
    assert comparison.json_form() == {"schema_version": 2, "runs": list(comparison.reports)}
