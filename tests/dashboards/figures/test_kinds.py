"""What the figure of kinds draws, and where its figures come from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.model import ExplainedKind, KindReport
from dpprof.analysis.report.explain_kinds import explain
from dpprof.dashboards.data.kinds import NO_RULE, kinds_of, suspects, total_ns, unmatched
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.figures.kinds import MATCHED, UNMATCHED, kind_bars
from dpprof.dashboards.pages.kinds import _quoted
from dpprof.dashboards.view.theme import LIGHT
from dpprof.reporters.blocks.units import TimeUnit
from dpprof.trace.load import explain_kinds, load_run

MS = TimeUnit("ms", 10**6)
SAMPLE = Path(__file__).resolve().parents[3] / "traces" / "dualpipe"


def explained(kind: str, name: str, time_ms: int, **fields: Any) -> ExplainedKind:
    default = dict.fromkeys(("rule", "category", "collective", "group", "annotation", "call"), "")
    verdict = {"matched": True, "suspect": False, "activities": 1, "ranks": [0]}
    return ExplainedKind(
        kind=kind, name=name, total_ns=time_ms * 10**6, **(default | verdict | fields)
    )


REPORT = KindReport(
    name="a",
    ranks=[0],
    kinds=[
        explained("compute", "gemm", 30),
        explained("compute", "odd", 5, matched=False),
        explained("compute", "exchange", 4, matched=False, suspect=True),
        explained("dispatch", "dispatch", 20),
    ],
)


def test_bars_are_by_kind_and_by_whether_a_rule_knew() -> None:
    bars = [(one.y[0], one.name, one.x[0]) for one in kind_bars(REPORT, LIGHT, MS).data]
    assert bars == [
        ("compute", MATCHED, 30),
        ("compute", UNMATCHED, 9),
        ("dispatch", MATCHED, 20),
    ]
    assert kind_bars(REPORT, LIGHT, MS).data[1].marker.pattern.shape == "x"


def test_what_no_rule_knew_is_told_apart() -> None:
    assert [one.name for one in unmatched(REPORT)] == ["odd", "exchange"]
    assert [one.name for one in suspects(REPORT)] == ["exchange"]
    assert total_ns(REPORT.kinds) == 59 * 10**6


def test_a_run_from_traces_is_explained_from_them() -> None:
    library = Library({"a": lambda: load_run(SAMPLE)})
    report = kinds_of(library, library.get("a"))
    assert report.kinds == explain(explain_kinds(SAMPLE), "dualpipe").kinds
    assert kinds_of(library, library.get("a")) is report


def test_a_run_without_traces_is_added_up_from_its_events(build: Any) -> None:
    rows = [
        {"rank": 0, "start_ns": 0, "end_ns": 30},
        {"rank": 0, "start_ns": 30, "end_ns": 40},
        {"rank": 1, "start_ns": 0, "end_ns": 5, "kind": "p2p", "name": "recv"},
    ]
    library = Library.of_runs([build(rows, source="simulated")])
    report = kinds_of(library, library.get(library.ids[0]))
    assert [
        (one.kind, one.name, one.rule, one.activities, one.total_ns, one.ranks)
        for one in report.kinds
    ] == [
        ("compute", "work", NO_RULE, 2, 40 * 10**6, [0]),
        ("p2p", "recv", NO_RULE, 1, 5 * 10**6, [1]),
    ]
    assert report.ranks == [0, 1]


def test_no_trace_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "rank0.json.gz"
    file.write_bytes((SAMPLE / "rank0.json.gz").read_bytes())
    expected = explain(explain_kinds(file), "rank0")
    run = load_run(file)
    file.unlink()
    library = Library.of_runs([run])
    found = kinds_of(library, library.get(library.ids[0]))
    assert found.kinds == expected.kinds


@pytest.mark.parametrize("name", ["plain", r"a\.b\(", "it's", "both ' and \" \\"])
def test_a_proposed_pattern_is_good_toml(name: str) -> None:
    assert tomllib.loads(f"pattern = {_quoted(name)}") == {"pattern": name}
