"""A report that has something of everything."""

from __future__ import annotations

import pytest

from dpprof.analysis.model import Report
from dpprof.analysis.report.analyze import analyze
from dpprof.costs.load import load_costs
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run


@pytest.fixture(scope="session")
def report() -> Report:
    return analyze(simulated_run(make_schedule("dualpipe", 4, 8), load_costs("unit-components")))


@pytest.fixture(scope="session")
def baseline() -> Report:
    return analyze(simulated_run(make_schedule("1f1b", 4, 8), load_costs("unit-components")))
