"""``analyze --explain-kinds``: what was matched by which rule, and what was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpprof.analysis.report.explain_kinds import explain
from dpprof.cli import run
from dpprof.reporters import FORMATS, render_kinds
from dpprof.reporters.report.kinds import MOST_NAMES, short_name
from dpprof.trace.load import explain_kinds

DISPATCH = "void deep_ep::intranode::dispatch<8>(int4*, float*)"
UNKNOWN = "shuffle_tokens_kernel"


def kernel(name: str, start: int, length: int, stream: int = 7) -> dict[str, Any]:
    args = {"stream": stream, "device": 0}
    event = {"ph": "X", "cat": "kernel", "pid": 0, "tid": stream, "args": args}
    return event | {"name": name, "ts": start, "dur": length}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for rank in (0, 1):
        events = [
            kernel(DISPATCH, 0, 20),
            kernel(UNKNOWN, 20, 5 + rank),
            kernel("gemm", 0, 10, stream=8),
        ]
        (tmp_path / f"rank{rank}.json").write_text(json.dumps({"traceEvents": events[: 3 - rank]}))
    return tmp_path


def test_every_rank_counts_and_most_time_comes_first(folder: Path) -> None:
    report = explain(explain_kinds(folder), "mine")
    assert (report.schema_version, report.name, report.ranks) == (1, "mine", [0, 1])
    assert [
        (one.name, one.kind, one.rule, one.matched, one.suspect, one.activities, one.total_ns)
        for one in report.kinds
    ] == [
        (DISPATCH, "dispatch", "DeepEP dispatch", True, False, 2, 40_000),
        (UNKNOWN, "compute", "no communication name", False, True, 2, 11_000),
        ("gemm", "compute", "known computation", True, False, 1, 10_000),
    ]
    assert [one.ranks for one in report.kinds] == [[0, 1], [0, 1], [0]]
    assert {one.category for one in report.kinds} == {"kernel"}


def test_the_command_in_all_formats(folder: Path, capsys) -> None:
    for format in FORMATS:
        assert run(["analyze", str(folder), "--explain-kinds", "--format", format]) == 0
        text = capsys.readouterr().out
        assert "DeepEP dispatch" in text
        assert UNKNOWN in text
    table = render_kinds(explain(explain_kinds(folder), "mine"), "table")
    assert "intranode::dispatch" in table
    assert "int4*" not in table
    assert f"warning: {UNKNOWN}: no rule matches, and its name or its lane" in table


def test_a_configured_pattern_is_listed_and_ends_the_warning(folder: Path, capsys) -> None:
    (folder / "dpprof.toml").write_text(
        '[[kinds]]\nname = "shuffle"\npattern = "^shuffle_"\nkind = "dispatch"\n'
    )
    assert run(["analyze", str(folder), "--explain-kinds", "--format", "json"]) == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert [(one["kind"], one["rule"]) for one in kinds][1] == ("dispatch", "shuffle")
    assert not any(one["suspect"] for one in kinds)
    assert run(["analyze", str(folder)]) == 0
    assert "unknown kernels" not in capsys.readouterr().out


def test_the_normal_report_warns_of_unknown_names(folder: Path, capsys) -> None:
    assert run(["analyze", str(folder), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (said,) = [one for one in report["evidence"] if one["check"] == "unknown-kernels"]
    assert (said["found"], said["ranks"], said["touches"]) == (2, [0, 1], [])
    assert said["text"] in report["warnings"]
    assert f"({UNKNOWN} " in said["text"]


@pytest.mark.parametrize("more", [["--steps", "3"], ["rank0.json"]])
def test_it_takes_one_whole_run(folder: Path, more: list[str], capsys) -> None:
    assert run(["analyze", str(folder), "--explain-kinds", *more]) == 2
    assert "--explain-kinds takes one RUN" in capsys.readouterr().err


def test_long_tables_say_how_much_is_left_out(tmp_path: Path, capsys) -> None:
    count = MOST_NAMES + 4
    events = [kernel(f"mine_{number}", number, 1) for number in range(count)]
    (tmp_path / "rank0.json").write_text(json.dumps({"traceEvents": events}))
    assert run(["analyze", str(tmp_path), "--explain-kinds"]) == 0
    assert "... and 4 more; --format json has them all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("void at::native::(anonymous namespace)::fill<int>(int*)", "at::native::fill"),
        ("ncclDevKernel_Generic(ncclArgs<4096ul>)", "ncclDevKernel_Generic"),
        ("Memcpy DtoD (Device -> Device)", "Memcpy DtoD (Device..."),
        ("void a::very::long::space::of::names::combine<8>", "...e::of::names::combine"[-22:]),
        ("std::enable_if<!(1), void>::type gemvx::kernel<int>(int)", "gemvx::kernel"),
        ("<<>>", "<<>>"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name, 22)[-19:] == short[-19:]
    assert len(short_name(name, 22)) <= 22
