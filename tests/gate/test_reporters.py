"""A verdict in every format: JUnit's shape, GitHub's escapes and limits, one line first."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from dpprof.analysis.observations import SlowSlot
from dpprof.gate.gate import Baseline, gate
from dpprof.gate.result import GateResult
from dpprof.reporters.gate.github import MOST_SUMMARY_BYTES, summary_part
from dpprof.reporters.gate.render import GATE_FORMATS, render_gate
from dpprof.reporters.gate.sentences import headline, signed_text, value_text
from dpprof.statistics.figure import Figure

MS = 10**6

# What the JUnit schema of Jenkins (junit-10.xsd) allows: element -> attributes, children in order.
SHAPE = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp"}
        | {"hostname", "id", "package", "file"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": ({"type", "message"}, []),
    "skipped": ({"message", "type"}, []),
    "system-out": (set(), []),
}
REQUIRED = {"testsuite": {"name"}, "testcase": {"name"}}


def check_shape(element: ElementTree.Element) -> None:
    attributes, children = SHAPE[element.tag]
    assert set(element.attrib) <= attributes
    assert REQUIRED.get(element.tag, set()) <= set(element.attrib)
    order = [children.index(child.tag) for child in element]
    assert order == sorted(order)
    for child in element:
        check_shape(child)


@pytest.fixture
def failed(make_snapshot) -> GateResult:
    base = make_snapshot(
        {"exposed_ns": Figure(100 * MS, step_sd=MS), "bubble_ns": Figure(50 * MS, step_sd=MS)},
        {"compute_ns": [Figure(500 * MS, step_sd=MS)] * 2},
    )
    run = make_snapshot(
        {"exposed_ns": Figure(112 * MS, step_sd=MS), "bubble_ns": Figure(54 * MS, step_sd=40 * MS)},
        {"compute_ns": [Figure(500 * MS, step_sd=MS), Figure(600 * MS, step_sd=MS)]},
        runs=["a | b\x00:,\n%"],
        missing={"wait_ns": "unsplit"},
    )
    rules = ["exposed_ns > +5% and > 1ms", "bubble_ns > +1%", "wait_ns > 1s", "ranks == 2"]
    return gate(run, rules, Baseline(name="base.json", snapshot=base))


@pytest.fixture
def passed(make_snapshot) -> GateResult:
    return gate(make_snapshot(), ["ranks == 1"])


def test_the_verdict_is_one_line_and_comes_first(failed, passed) -> None:
    line = headline(failed)
    assert line.startswith("FAILED ")
    assert line.endswith(
        "2 of 4 limits broken against base.json: rank 1 (stage 1): compute takes longer: +100 ms "
        "(+20.0 %) a step"
    )
    assert headline(passed) == "PASSED hand-made (EMULATED): 1 limit kept"
    for result in (failed, passed):
        word = "PASSED" if result.passed else "FAILED"
        assert render_gate(result, "table", width=200).startswith(word)
        assert render_gate(result, "markdown").startswith(f"# {word}")
        assert f"<h1>{word}" in render_gate(result, "html")


def test_the_table_has_every_rule_and_says_what_is_unsure(failed) -> None:
    text = render_gate(failed, "table", width=200)
    assert "FAILED           exposed_ns > +5% and > 1ms" in text
    assert "+12.0 %" in text
    assert "MISSING          wait_ns > 1s" in text
    assert "not significant: bubble_ns +8.0 %: 50 ms before, now 54 ms; with this spread" in text
    assert "EMULATED: the time of components and messages is modelled, not measured" in text


def test_json_has_the_result_and_its_sentences(failed) -> None:
    form = json.loads(render_gate(failed, "json"))
    assert (form["schema_version"], form["passed"]) == (2, False)
    assert form["headline"] == headline(failed)
    assert [rule["status"] for rule in form["rules"]] == [
        "failed",
        "not_significant",
        "missing",
        "passed",
    ]
    assert form["rules"][0]["message"] == "exposed_ns +12.0 %: 100 ms before, now 112 ms"
    assert form["rules"][1]["message"].startswith("not significant: bubble_ns +8.0 %: 50 ms before")
    assert form["rules"][3]["message"] == "ranks is 2, required 2"
    assert form["findings"][0]["ranks"] == [1]
    assert form["findings"][0]["message"].startswith("rank 1 (stage 1): compute takes longer")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ((5,), "one run on a side: means of runs are taken to vary by 0.50% of the step; --repeat"),
        ((5, 5), "means of runs are taken to vary by at least 0.50% of the step; --run-spread"),
    ],
)
def test_the_report_says_how_much_runs_are_taken_to_vary(make_snapshot, steps, says: str) -> None:
    run = make_snapshot({"exposed_ns": Figure(9 * MS, None, 1, 1)}, steps=steps, source="captured")
    result = gate(run, ["exposed_ns > +5%"], Baseline(name="base", snapshot=run))
    assert says in render_gate(result, "table", width=200)
    alone = gate(run, ["exposed_ns > 1s"])
    assert "taken to vary" not in render_gate(alone, "table", width=200)


def test_a_terminal_shows_the_verdicts_in_colours(failed, passed) -> None:
    red, green = "\x1b[31mFAILED", "\x1b[32mok"
    assert red in render_gate(failed, "table", width=200, color=True)
    assert render_gate(failed, "table", width=200, color=True).startswith("\x1b[1;31mFAILED")
    assert green in render_gate(passed, "table", color=True)
    assert "\x1b" not in render_gate(failed, "table", width=200)


def test_junit_has_the_shape_that_ci_systems_read(failed, passed) -> None:
    for result in (failed, passed):
        check_shape(ElementTree.fromstring(render_gate(result, "junit")))
    root = ElementTree.fromstring(render_gate(failed, "junit"))
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "exposed_ns > +5% and > 1ms": ["failure"],
        "bubble_ns > +1%": ["system-out"],
        "wait_ns > 1s": ["failure"],
        "ranks == 2": ["system-out"],
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "exposed_ns +12.0 %: 100 ms before, now 112 ms"


def test_junit_skips_default_rules_on_what_is_not_known(make_snapshot) -> None:
    run = make_snapshot()
    result = gate(run, [], Baseline(name="base", snapshot=run))
    (suite,) = ElementTree.fromstring(render_gate(result, "junit"))
    assert suite.get("skipped") == "1"
    check_shape(suite)


def test_annotations_are_escaped_as_github_wants_them(failed, passed) -> None:
    lines = render_gate(failed, "github").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("::error title=dpprof gate::FAILED a | b\x00:,%0A%25 (EMULATED)")
    assert lines[1] == (
        "::error title=dpprof gate%3A exposed_ns > +5%25 and > 1ms::exposed_ns +12.0 %25: "
        "100 ms before, now 112 ms"
    )
    assert render_gate(passed, "github") == (
        "::notice title=dpprof gate::PASSED hand-made (EMULATED): 1 limit kept\n"
    )


def test_what_is_not_significant_is_not_called_kept(make_snapshot) -> None:
    base = make_snapshot({"bubble_ns": Figure(50 * MS, step_sd=40 * MS)})
    run = make_snapshot({"bubble_ns": Figure(54 * MS, step_sd=40 * MS)})
    result = gate(run, ["bubble_ns > +1%", "ranks == 1"], Baseline(name="base", snapshot=base))
    assert headline(result) == (
        "PASSED hand-made (EMULATED): 1 limit kept, 1 not significant (beyond their limit, but not "
        "beyond the spread) against base"
    )
    annotation = render_gate(result, "github")
    assert annotation.startswith("::warning title=dpprof gate::PASSED hand-made")
    assert "%0Anot significant: bubble_ns +8.0 %25: 50 ms before, now 54 ms" in annotation
    (suite,) = ElementTree.fromstring(render_gate(result, "junit"))
    said = {case.get("name"): case.findtext("system-out") or "" for case in suite.iter("testcase")}
    assert said["bubble_ns > +1%"].startswith("not significant: bubble_ns +8.0 %")
    assert said["ranks == 1"] == "ranks is 1, required 1"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("ranks >= 2", "ranks is 2, must be below 2"),
        ("ranks <= 2", "ranks is 2, must be above 2"),
        ("ranks > 1", "ranks is 2, limit 1"),
        ("rank1.exposed_ns > 1ms", "rank1.exposed_ns is 30 ms, limit 1 ms"),
        ("any.exposed_ns > 1ms", "any.exposed_ns (rank 1) is 30 ms, limit 1 ms"),
    ],
)
def test_a_broken_limit_is_said_in_one_line(make_snapshot, rule: str, says: str) -> None:
    run = make_snapshot({}, {"exposed_ns": [10 * MS, 30 * MS]})
    assert headline(gate(run, [rule])).endswith(f"1 of 1 limit broken: {says}")


def test_there_are_at_most_ten_annotations(make_snapshot) -> None:
    rules = [f"ranks == {count}" for count in range(5, 30)]
    lines = render_gate(gate(make_snapshot(), rules), "github").splitlines()
    assert len(lines) == 10
    assert lines[-1] == "::error title=dpprof gate::and 17 more broken rules"


@pytest.mark.parametrize("used", [0, 1000, MOST_SUMMARY_BYTES - 100, MOST_SUMMARY_BYTES + 5])
def test_a_summary_stays_below_a_mebibyte(used: int) -> None:
    text = "| é | 1 |\n" * 200_000
    part = summary_part(text, used)
    assert used + len(part.encode()) <= max(2**20, used)
    assert part == "" or part.endswith("at most 1 MiB\n")
    assert summary_part("short\n", 0) == "short\n"


@pytest.mark.parametrize("format", GATE_FORMATS)
def test_every_format_is_text_for_every_verdict(failed, passed, format: str) -> None:
    assert render_gate(failed, format)
    assert render_gate(passed, format)


@pytest.mark.parametrize(
    ("value", "unit", "text", "signed"),
    [
        (1_234_567, "ns", "1.235 ms", "+1.235 ms"),
        (999, "ns", "999 ns", "+999 ns"),
        (0.1234, "share", "12.3 %", "+12.3 pp"),
        (2**30, "bytes", "1.00 GiB", "+1.00 GiB"),
        (12345.6, "rate", "12,346", "+12,346"),
        (8, "count", "8", "+8"),
    ],
)
def test_values_with_their_units(value: float, unit, text: str, signed: str) -> None:
    assert value_text(value, unit) == text
    assert signed_text(value, unit) == signed
    assert signed_text(-value, unit) == signed.replace("+", "-")


@pytest.mark.parametrize(("rule", "named"), [("step_ns > +2%", True), ("step_ns > +90%", False)])
def test_a_slot_that_became_slow_is_named_where_time_is_lost(make_snapshot, rule, named) -> None:
    slow = SlowSlot(
        rank=1, slot="F0.3", what="host", length_ns=80 * MS, siblings_ns=MS, excess_ns=79 * MS
    )
    base = make_snapshot()
    run = make_snapshot({"step_ns": 1079 * MS}, slow_slots=[slow])
    result = gate(run, [rule], Baseline(name="base.json", snapshot=base))
    words = "rank 1, F0.3: idles 80.00 ms, its siblings 1.00: 79.00 ms of the step"
    assert (words in render_gate(result, "table")) is named
    assert (words in render_gate(result, "github")) is named
    again = gate(run, [rule], Baseline(name="base.json", snapshot=replace(base, slow_slots=[slow])))
    assert again.slow_slots == []
