"""What rules can say, and where errors point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.analysis.metrics import METRICS
from dpprof.errors import DpprofError
from dpprof.gate.gate import DEFAULT_RULES
from dpprof.gate.names import JOB_FIGURES, RANK_FIGURES, MetricName, read_name
from dpprof.gate.rules import Condition, Rule, read_rule, read_rules


def rule(text: str, *conditions: Condition, reference: str | None = None) -> Rule:
    return Rule(text, read_name(text.split()[0]), conditions, reference)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expected",
    [
        rule("bubble_share > 12%", Condition(">", "value", 0.12)),
        rule("bubble_share >= 0.12", Condition(">=", "value", 0.12)),
        rule("hidden_share < 90%", Condition("<", "value", 0.9)),
        rule("any.exposed_ns > 1.5ms", Condition(">", "value", 1.5e6)),
        rule("any.exposed_ns > 200\u00b5s", Condition(">", "value", 2e5)),
        rule("any.exposed_ns > 200\u03bcs", Condition(">", "value", 2e5)),
        rule("bubble_share > 1", Condition(">", "value", 1)),
        rule("bubble_share > +150%", Condition(">", "relative", 1.5), reference="baseline"),
        rule("schedule == my own", Condition("==", "word", word="my own")),
        rule("step_ns > 2 s", Condition(">", "value", 2e9)),
        rule("step_ns > 1_000", Condition(">", "value", 1000)),
        rule("peak_allocated_bytes > 3.5GiB", Condition(">", "value", 3.5 * 2**30)),
        rule("peak_allocated_bytes > 3kB", Condition(">", "value", 3000)),
        rule("exposed.p2p_ns > 5% step", Condition(">", "value", 0.05, of_step=True)),
        rule("ranks == 8", Condition("==", "value", 8)),
        rule("schedule == 1f1b", Condition("==", "word", word="1f1b")),
        rule(
            "exposed.dispatch_ns > +5% and > 200us",
            Condition(">", "relative", 0.05),
            Condition(">", "floor", 200_000),
            reference="baseline",
        ),
        rule("bubble_share > +5%", Condition(">", "relative", 0.05), reference="baseline"),
        rule("bubble_share > +5pp", Condition(">", "change", 0.05), reference="baseline"),
        rule("step_ns > +200us", Condition(">", "change", 2e5), reference="baseline"),
        rule(
            "step_ns > +2% step", Condition(">", "change", 0.02, of_step=True), reference="baseline"
        ),
        rule(
            "tokens_per_second < -3% and > 100",
            Condition("<", "relative", -0.03),
            Condition(">", "floor", 100),
            reference="baseline",
        ),
        rule("bubble_ns > 1.2x ideal", Condition(">", "factor", 1.2), reference="ideal"),
        rule("rank3.bubble_ns > 2 x ideal", Condition(">", "factor", 2), reference="ideal"),
        rule("step_ns > 1.1x baseline", Condition(">", "factor", 1.1), reference="baseline"),
    ],
    ids=lambda one: one.text,
)
def test_a_rule_is_what_it_says(expected: Rule) -> None:
    assert read_rule(f"  {expected.text} ") == expected
    assert read_rule(expected.text.replace(" > ", ">")).conditions == expected.conditions


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("bubble_shar > 12%", 1, "unknown metric 'bubble_shar'; nearest: bubble_share, bubble_ns"),
        ("rank3.bubble_shar > 12%", 1, "nearest: rank3.bubble_share"),
        ("exposed.dispach_ns > 3us", 1, "nearest: exposed.dispatch_ns"),
        ("any.step_ns > 3ms", 1, "'step_ns' is a figure of the job, not of a rank"),
        ("", 1, "expected a metric"),
        ("> 3", 1, "expected a metric"),
        ("bubble_share", 13, "expected a comparison"),
        ("bubble_share >", 15, "expected a number, such as 12%"),
        ("bubble_share > many", 16, "expected a number, such as 12%"),
        ("ranks != 8", 7, "no comparison '!='; known: > >= < <= =="),
        ("bubble_share > 200us", 19, "'us' does not fit bubble_share; write 12%"),
        ("bubble_share > 12%%", 19, "not known here"),
        ("bubble_share > 5% step", 19, "not known here"),
        ("bubble_share > +5% step", 18, "'%' does not fit bubble_share"),
        ("step_ns > 3 parsecs", 13, "unknown unit 'parsecs'"),
        ("step_ns > 5%", 12, "step_ns is a time; write 200us, 1.5ms, 3% step, or +5% against"),
        ("step_ns > +5% or > 3ms", 15, "not known here; write 'and'"),
        ("step_ns > +5% and", 18, "expected a comparison"),
        ("step_ns < +5%", 9, "a limit on growth is '> +5%', one on decline '< -5%'"),
        ("step_ns > -5%", 9, "a limit on growth"),
        ("step_ns > +5% and < 3ms", 19, "a floor on the change is written 'and > AMOUNT'"),
        ("ranks == +8", 7, "a change cannot be required"),
        ("ranks == 8 and > 3", 7, "a required value (==) stands alone"),
        ("schedule > 1f1b", 10, "schedule is a word; it can be required with =="),
        ("schedule ==", 12, "expected a word"),
        ("bubble_ns > 1.2x", 17, "expected 'ideal' or 'baseline'"),
        ("bubble_ns > 1.2x last", 18, "times what?"),
        ("bubble_ns > +1.2x ideal", 19, "times what?"),
        (
            "exposed_ns > 1.2x ideal",
            12,
            "no ideal of exposed_ns; there is one of step_ns, bubble_ns",
        ),
        ("step_ns > +5% and > 1.1x ideal", 19, "both ideal and baseline; write two rules"),
        ("schedule == dualpipe and > 3", 13, "a required word (==) stands alone; write two rules"),
        ("bubble_share > 12", 16, "a share is at most 1, or 100%; write 12%"),
        ("hidden_share < 90", 16, "write 90%"),
        ("bubble_share > +5", 16, "a share is at most 1, or 100%; write +5pp"),
        ("bubble_share > +5% and > 3", 26, "write 3%"),
        ("bubble_share > 120%", 16, "a share is at most 1"),
        ("bubble_share > (3)", 16, "'(' has no meaning in a rule"),
    ],
)
def test_an_error_points_at_the_place(text: str, column: int, says: str) -> None:
    with pytest.raises(DpprofError) as error:
        read_rule(text, "dpprof.toml: gate.fail_if[1]")
    first, shown, pointer = str(error.value).split("\n")
    assert first.startswith(f"dpprof.toml: gate.fail_if[1]: rule, column {column}: ")
    assert says in first
    assert (shown, pointer.index("^")) == (f"  {text}", 2 + column - 1)


@given(st.text(max_size=40) | st.text("bubble_ns >=<+-0.5%xideal and step", max_size=40))
def test_any_text_is_a_rule_or_an_error_for_people(text: str) -> None:
    try:
        read = read_rule(text)
    except DpprofError:
        return
    assert read == read_rule(read.text)


@pytest.mark.parametrize("text", ["x" * 501, "ranks == 8\nstep_ns > 1s", "ranks == 8\x1b[0m"])
def test_rules_are_one_printable_line(text: str) -> None:
    with pytest.raises(DpprofError, match="not one line of at most 500 characters"):
        read_rule(text)


def test_the_scopes_of_names() -> None:
    assert read_name("any.bubble_ns") == MetricName("any.bubble_ns", "bubble_ns", "ns", "any")
    assert read_name("rank12.hidden_share").number == 12
    assert read_name("stage0.peak_allocated_bytes").scope == "stage"
    assert read_name("exposed.all_to_all_ns").scope == "job"


@pytest.mark.parametrize(
    ("path", "figure", "scope"),
    [
        ("window_ns", "window_ns", "job"),
        ("rank0.window_ns", "window_ns", "rank"),
        ("total.bubble_share", "bubble_share", "job"),
        ("total.hidden_share", "hidden_share", "job"),
        ("states_ns.compute", "compute_ns", "job"),
        ("states_ns.exposed.dispatch", "exposed.dispatch_ns", "job"),
        ("total.states_ns.bubble.dependency", "bubble.dependency_ns", "job"),
        ("any.states_ns.bubble.host", "bubble.host_ns", "any"),
        ("by_kind.dispatch.exposed_ns", "dispatch.exposed_ns", "job"),
        ("rank3.by_kind.p2p.wait_ns", "p2p.wait_ns", "rank"),
        ("memory.peak_allocated_bytes", "peak_allocated_bytes", "job"),
        ("stage1.memory.activation_bytes", "activation_bytes", "stage"),
        ("ideal.window_ns", "ideal.step_ns", "job"),
        ("ideal.closed_form_ns", "ideal.closed_form_ns", "job"),
        ("steps.used", "steps", "job"),
    ],
)
def test_paths_of_the_json_are_names_too(path: str, figure: str, scope: str) -> None:
    found = read_name(path)
    assert (found.text, found.figure, found.scope) == (path, figure, scope)
    assert found.unit == JOB_FIGURES[figure]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("throughput", "tokens_per_second"), ("mfu", "model_flops_per_second"), ("idle", "bubble_ns")],
)
def test_other_words_for_a_figure_lead_to_it(text: str, meant: str) -> None:
    with pytest.raises(DpprofError, match=f"unknown metric '{text}'; nearest: {meant};"):
        read_name(text)


def test_every_share_is_of_known_times() -> None:
    for part, whole in (one.ratio for one in METRICS.values() if one.ratio is not None):
        assert RANK_FIGURES[part] == "ns"
        assert whole == "window_ns" or RANK_FIGURES[whole] == "ns"
    assert set(RANK_FIGURES) < set(JOB_FIGURES)


def test_the_default_rules_compare_with_a_baseline() -> None:
    assert {one.reference for one in read_rules(DEFAULT_RULES)} == {"baseline"}
