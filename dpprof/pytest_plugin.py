"""The pytest plugin: the fixture `dpprof_gate` fails a test where a run breaks a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dpprof.gate.result import GateResult
    from dpprof.gating import Gateable

Gate = Callable[..., "GateResult"]


@pytest.fixture(scope="session")
def dpprof_gate() -> Gate:
    """``dpprof_gate(run, rules, baseline=..., allow_mismatch=False)``, as `dpprof.gating.gate`.

    Gives the result where all limits are kept; else the test fails with the verdict, the ranks,
    kinds and causes behind it, and the table of rules. Wrong rules or runs that do not compare
    raise `DpprofError`, an error of the test and not a failed limit.
    """
    return _gate_or_fail


def _gate_or_fail(
    run: Gateable,
    rules: str | Sequence[str] = (),
    *,
    baseline: Gateable | None = None,
    allow_mismatch: bool = False,
    run_spread: float | None = None,
    allow_missing: bool = False,
) -> GateResult:
    __tracebackhide__ = True
    from dpprof.gating import gate
    from dpprof.reporters.gate.render import render_gate

    result = gate(
        run,
        rules,
        baseline=baseline,
        allow_mismatch=allow_mismatch,
        run_spread=run_spread,
        allow_missing=allow_missing,
    )
    if not result.passed:
        pytest.fail(render_gate(result, "table"), pytrace=False)
    return result
