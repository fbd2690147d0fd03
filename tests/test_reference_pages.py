"""The pages that are made from the code hold every key and every figure."""

from __future__ import annotations

import msgspec
import pytest

from docs.reference_pages import figures_page, json_page
from dpprof.analysis.diff.model import Part
from dpprof.analysis.figures import StepRank
from dpprof.analysis.metrics import METRICS
from dpprof.analysis.model import Report
from dpprof.analysis.observations import RegionFigures
from dpprof.gate.result import Check
from dpprof.tables.kinds import COMMUNICATION_KINDS, KINDS, STATES


@pytest.mark.parametrize("struct", [Report, RegionFigures, StepRank, Part, Check])
def test_every_key_is_there_with_its_type(struct: type[msgspec.Struct]) -> None:
    part = json_page().split(f"### {struct.__name__}\n")[1].split("\n#")[0]
    keys = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
    assert keys == [field.encode_name for field in msgspec.structs.fields(struct)]


def test_every_figure_is_there_once() -> None:
    rows = [line for line in figures_page().splitlines() if line.startswith("| `")]
    names = [row.split("`")[1] for row in rows]
    assert len(names) == len(set(names))
    filled = {
        name.replace("<state>", state).replace("<kind>", kind)
        for name in names
        for state in STATES
        for kind in (*COMMUNICATION_KINDS, *KINDS)
    }
    assert set(METRICS) <= filled
    assert all(row.count("|") == 6 for row in rows)
