"""The gate on snapshots made by hand: what fails, what is not significant, what is not known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.gate.gate import DEFAULT_RULES, Baseline, gate
from dpprof.gate.judge import _holm
from dpprof.gate.result import GateResult, RuleResult
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.statistics.difference import FALSE_ALARMS
from dpprof.statistics.figure import Figure

MS = 10**6


def only(result: GateResult) -> RuleResult:
    (rule,) = result.rules
    return rule


def against(base: FigureSnapshot, **more: Any) -> Baseline:
    return Baseline(name="base.json", snapshot=base, **more)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ("bubble_share > 12%", True),
        ("bubble_share > 11.9%", False),
        ("bubble_share >= 12%", False),
        ("bubble_share > 10% and < 11%", True),
        ("bubble_share > 10% and < 13%", False),
        ("hidden_share < 80%", False),
        ("exposed_ns > 20ms", True),
        ("exposed_ns > 1% step", False),
        ("ranks == 2", True),
        ("ranks == 8", False),
        ("schedule == dualpipe", True),
        ("schedule == 1f1b", False),
        ("source == emulated", True),
        ("any.exposed_ns > 25ms", False),
        ("rank0.exposed_ns > 25ms", True),
        ("stage1.exposed_ns > 25ms", False),
        ("exposed.broadcast_ns > 0ns", True),  # nobody broadcasts
        ("exposed.broadcast_share > 0%", True),
    ],
)
def test_limits_on_a_run_alone(make_snapshot, rule: str, passed: bool) -> None:
    run = make_snapshot(
        {"bubble_share": 0.12, "hidden_share": 0.75, "exposed_ns": 20 * MS},
        {"exposed_ns": [10 * MS, 30 * MS]},
    )
    result = gate(run, [rule])
    assert result.passed is passed
    assert only(result).status == ("passed" if passed else "failed")


def test_a_check_says_value_and_limit_and_the_worst_rank_comes_first(make_snapshot) -> None:
    run = make_snapshot({}, {"exposed_ns": [10 * MS, 40 * MS, 30 * MS]})
    rule = only(gate(run, ["any.exposed_ns > 20ms"]))
    assert [(one.rank, one.status, one.value) for one in rule.checks] == [
        (1, "failed", 40 * MS),
        (2, "failed", 30 * MS),
        (0, "passed", 10 * MS),
    ]
    assert {one.limit for one in rule.checks} == {20 * MS}


@pytest.mark.parametrize(
    ("rule", "value", "status"),
    [
        ("exposed_ns > +5% and > 2ms", 104, "passed"),  # below 5 %
        ("exposed_ns > +5% and > 10ms", 109, "passed"),  # below the floor
        ("exposed_ns > +5% and > 2ms", 109, "failed"),
        ("exposed_ns > +5% and > 0.5% step", 106, "failed"),  # of a step of 1000 ms
        ("exposed_ns > +5% and > 1% step", 106, "passed"),
        ("exposed_ns > +8ms", 109, "failed"),
        ("exposed_ns > +10ms", 109, "passed"),
        ("exposed_ns > 1.05x baseline", 109, "failed"),
        ("exposed_ns > 1.1x baseline", 109, "passed"),
        ("exposed_ns < -5%", 109, "passed"),
        ("exposed_ns < -5%", 90, "failed"),
        ("exposed_ns < -5% and > 20ms", 90, "passed"),
    ],
)
def test_limits_against_a_baseline(make_snapshot, rule: str, value: int, status: str) -> None:
    base = make_snapshot({"exposed_ns": 100 * MS})
    run = make_snapshot({"exposed_ns": value * MS})
    assert only(gate(run, [rule], against(base))).status == status


def test_what_is_beyond_the_limit_must_be_beyond_the_spread(make_snapshot) -> None:
    base = make_snapshot({"exposed_ns": Figure(100 * MS, step_sd=20 * MS)})
    run = make_snapshot({"exposed_ns": Figure(110 * MS, step_sd=20 * MS)})
    result = gate(run, ["exposed_ns > +5%"], against(base))
    (check,) = only(result).checks
    assert (result.passed, check.status) == (True, "not_significant")
    assert check.chance is not None
    assert check.chance > FALSE_ALARMS
    assert check.detectable is not None
    assert check.detectable > 10 * MS
    low, high = check.interval or (0, 0)
    assert low < 0 < 10 * MS < high


def test_one_captured_step_on_a_side_tells_no_change(make_snapshot) -> None:
    base = make_snapshot({"exposed_ns": Figure(100 * MS)}, steps=(1,), source="captured")
    run = make_snapshot({"exposed_ns": Figure(180 * MS)}, steps=(1,), source="captured")
    result = gate(run, ["exposed_ns > +5%"], against(base))
    (check,) = only(result).checks
    assert (check.status, check.chance, check.interval) == ("not_significant", None, None)
    assert check.reason == "its spread is not known (one step, or one value of a run)"
    (check,) = only(gate(run, ["exposed_ns > +90%"], against(base))).checks
    assert (check.status, check.reason) == ("passed", "")
    (check,) = only(gate(run, ["exposed_ns > 150ms"])).checks  # what was measured breaks a limit
    assert check.status == "failed"


@pytest.mark.parametrize(("source", "fails_at"), [("emulated", 120), ("simulated", 106)])
def test_one_modelled_step_has_the_spread_that_such_steps_have(
    make_snapshot, source: str, fails_at: int
) -> None:
    base = make_snapshot({"exposed_ns": Figure(100 * MS)}, steps=(1,), source=source)
    for value in (105, 106, 110, 120):
        run = make_snapshot({"exposed_ns": Figure(value * MS)}, steps=(1,), source=source)
        status = only(gate(run, ["exposed_ns > +5%"], against(base))).status
        assert (status == "failed") == (value >= fails_at)


def test_captured_runs_are_taken_to_vary_by_more_unless_told(make_snapshot) -> None:
    base = make_snapshot({"exposed_ns": 200 * MS}, source="captured")
    run = make_snapshot({"exposed_ns": 212 * MS}, source="captured")
    result = gate(run, ["exposed_ns > +5%"], against(base))
    assert (only(result).status, result.run_spread) == ("not_significant", 0.005)
    result = gate(run, ["exposed_ns > +5%"], against(base), run_spread=0.001)
    assert (only(result).status, result.run_spread) == ("failed", 0.001)
    assert gate(run, ["exposed_ns > 1s"]).run_spread is None


def test_a_limit_on_the_value_takes_what_is_typical_and_its_spread(make_snapshot) -> None:
    hiccup = Figure(1152 * MS, middle=653 * MS, step_sd=10 * MS)
    run = make_snapshot({"step_ns": hiccup, "exposed_ns": Figure(101 * MS, step_sd=10 * MS)})
    (check,) = only(gate(run, ["step_ns > 700ms"])).checks
    assert (check.status, check.value) == ("passed", 653 * MS)
    (check,) = only(gate(run, ["exposed_ns > 100ms"])).checks
    assert check.status == "not_significant"
    low, high = check.interval or (0, 0)
    assert low < 100 * MS < 101 * MS < high
    assert low + high == pytest.approx(202 * MS)
    assert only(gate(run, ["exposed_ns > 50ms"])).status == "failed"
    assert only(gate(run, ["exposed_ns > 50ms and < 110ms"])).status == "not_significant"
    # A floor in per cent of the step is of the typical one.
    assert only(gate(run, ["exposed_ns > 10% step"])).status == "failed"


def test_a_limit_beside_the_ideal_takes_the_spread_too(make_snapshot) -> None:
    run = make_snapshot(
        {"bubble_ns": Figure(121 * MS, step_sd=9 * MS), "ideal.bubble_ns": 100 * MS}
    )
    (check,) = only(gate(run, ["bubble_ns > 1.2x ideal"])).checks
    assert (check.status, check.reference) == ("not_significant", 100 * MS)
    assert only(gate(run, ["bubble_ns > 1x ideal"])).status == "failed"


def test_limits_beside_the_ideal(make_snapshot) -> None:
    run = make_snapshot({"bubble_ns": 130 * MS, "ideal.bubble_ns": 100 * MS})
    assert only(gate(run, ["bubble_ns > 1.2x ideal"])).status == "failed"
    assert only(gate(run, ["bubble_ns > 1.4x ideal"])).status == "passed"
    assert only(gate(run, ["bubble_ns > 1.2x ideal and > 40ms"])).status == "passed"
    (check,) = only(gate(run, ["bubble_ns > 1.2x ideal"])).checks
    assert (check.reference, check.limit, check.chance) == (100 * MS, 120 * MS, None)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("wait_ns > 1ms", "unsplit"),
        ("bubble_ns > 1.2x ideal", "no ideal here"),
        ("hidden_share < 90%", "no such communication"),
        ("tokens_per_second < 5", "not known"),
        ("rank7.bubble_ns > 1ms", "there is no rank 7"),
        ("stage9.bubble_ns > 1ms", "no rank holds that stage"),
        ("device == cuda", "not known of this run"),
    ],
)
def test_what_is_not_known_never_passes_silently(make_snapshot, rule: str, reason: str) -> None:
    missing = {"wait_ns": "unsplit", "ideal.": "no ideal here"}
    result = gate(make_snapshot({"bubble_ns": 5 * MS}, missing=missing), [rule])
    (check,) = only(result).checks
    assert (result.passed, check.status, check.reason) == (False, "missing", reason)


def test_a_time_that_the_baseline_does_not_have_is_not_taken_for_none(make_snapshot) -> None:
    run = make_snapshot({"exposed_ns": 20 * MS}, {"exposed_ns": [20 * MS]}, nothing=[])
    base = make_snapshot(nothing=["exposed.p2p_ns"])
    rules = ["exposed_ns > +5%", "rank0.exposed_ns > +5%", "exposed.p2p_ns > +1ms"]
    job, rank, p2p = gate(run, rules, against(base)).rules
    for rule in (job, rank):
        assert (rule.status, rule.checks[0].reason) == (
            "missing",
            "not in the baseline; save it again",
        )
    assert (p2p.status, p2p.checks[0].reason) == ("missing", "not known")  # of the run
    assert gate(base, ["exposed.p2p_ns > +1ms"], against(base)).passed
    assert gate(base, ["critical_path.p2p_ns > 1s"]).rules[0].status == "missing"


def test_a_time_of_the_ranks_that_the_job_lacks_is_not_none(make_snapshot) -> None:
    run = make_snapshot({"exposed_ns": 20 * MS}, {"exposed_ns": [20 * MS]})
    for base in (make_snapshot({}, {"exposed_ns": [20 * MS]}), make_snapshot({"exposed_ns": 9})):
        rules = ["exposed_ns > +5%", "rank0.exposed_ns > +5%"]
        assert "missing" in {one.status for one in gate(run, rules, against(base)).rules}


def test_default_rules_skip_what_is_not_known_but_not_everything(make_snapshot) -> None:
    base = make_snapshot({"bubble_ns": 5 * MS}, missing={"peak_allocated_bytes": "no events"})
    result = gate(base, [], against(base))
    assert [rule.rule for rule in result.rules] == list(DEFAULT_RULES)
    assert result.passed
    assert {rule.status for rule in result.rules} == {"passed", "skipped"}
    assert result.rules[-1].checks[0].reason == "no events"


def test_a_rule_that_lacks_its_baseline_is_wrong_use(make_snapshot) -> None:
    with pytest.raises(DpprofError, match="compares with a baseline; add --baseline"):
        gate(make_snapshot(), ["step_ns > +5%"])
    with pytest.raises(DpprofError, match="nothing to check"):
        gate(make_snapshot(), [])


def test_a_baseline_of_something_else_is_refused_or_let_through(make_snapshot) -> None:
    base = make_snapshot(identity={"micro_batches": 8, "mesh": {"pp": 4, "dp": 1}})
    run = make_snapshot(identity={"micro_batches": 16, "mesh": {"pp": 4}})
    with pytest.raises(DpprofError) as error:
        gate(run, ["step_ns > +5%"], against(base))
    assert str(error.value).startswith(
        "base.json: is a baseline of a different run: micro_batches is 16, the baseline has 8. Save"
    )
    result = gate(run, ["step_ns > +5%"], against(base, allow_mismatch=True))
    (let,) = result.accepted_differences
    assert (let.field, let.baseline, let.run) == ("micro_batches", 8, 16)


def test_unchanged_runs_with_the_same_spread_pass(make_snapshot) -> None:
    base = make_snapshot(
        {"exposed_ns": Figure(100 * MS, step_sd=MS), "bubble_ns": Figure(50 * MS, step_sd=MS)},
        {"exposed_ns": [Figure(100 * MS, step_sd=MS)] * 4},
    )
    assert gate(base, [], against(base)).passed


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), max_size=8))
def test_holms_method_by_its_definition(given: list[tuple[float, float]]) -> None:
    chances, weights = [chance for chance, _ in given], [weight for _, weight in given]
    adjusted = _holm(chances, weights)
    for level in (0.001, 0.01, 0.05, 0.5):
        rejected: set[int] = set()
        for i in sorted(range(len(given)), key=lambda i: chances[i] / weights[i]):
            left = sum(weights[j] for j in range(len(given)) if j not in rejected)
            if chances[i] > level * weights[i] / left * (1 + 1e-9):
                break
            rejected.add(i)
        found = {i for i, value in enumerate(adjusted) if value <= level * (1 + 1e-9)}
        assert found == rejected


def test_figures_of_the_job_may_use_most_of_the_false_alarms(make_snapshot) -> None:
    figure = Figure(100 * MS, step_sd=MS)
    run = make_snapshot({"exposed_ns": figure}, {"exposed_ns": [figure] * 8})
    rules = ["exposed_ns > +5%", "any.exposed_ns > +5%"]
    job, ranks = gate(run, rules, against(run)).rules
    alone = only(gate(run, rules[:1], against(run))).checks[0].detectable or 0
    of_job, of_rank = (one.checks[0].detectable or 0 for one in (job, ranks))
    assert alone < of_job < 1.05 * alone < of_rank


_CONDITIONS = {
    None: ["> 10%", "< 13%", ">= 12%", "<= 50%"],
    "up": ["> +5%", "> +1pp", "> 1.02x baseline", "> 2pp", ">= 1pp"],
    "down": ["< -5%", "< -1pp", "< 0.98x baseline", "> 2pp", ">= 1pp"],
}


@given(data=st.data(), base=st.integers(1, 99), value=st.integers(0, 100))
def test_the_order_of_conditions_does_not_matter(
    make_snapshot, data: st.DataObject, base: int, value: int
) -> None:
    conditions = _CONDITIONS[data.draw(st.sampled_from(sorted(_CONDITIONS, key=str)))]
    chosen = data.draw(st.lists(st.sampled_from(conditions), min_size=2, max_size=4, unique=True))
    again = data.draw(st.permutations(chosen))
    sides = [make_snapshot({"hidden_share": share / 100}) for share in (value, base)]
    first, second = (
        only(gate(sides[0], [f"hidden_share {' and '.join(order)}"], against(sides[1])))
        for order in (chosen, again)
    )
    assert first.status == second.status
    assert first.checks == second.checks


@pytest.mark.parametrize("rule", ["hidden_share > 1pp and < -5%", "hidden_share < -5% and > 1pp"])
@pytest.mark.parametrize(
    ("share", "status"), [(0.40, "failed"), (0.495, "passed"), (0.6, "passed")]
)
def test_a_floor_of_a_decline_is_on_its_size(make_snapshot, rule, share, status) -> None:
    base, run = make_snapshot({"hidden_share": 0.5}), make_snapshot({"hidden_share": share})
    result = only(gate(run, [rule], against(base)))
    assert (result.status, result.checks[0].limit) == (status, pytest.approx(0.475))


@pytest.mark.parametrize("wanted", ["dualpipe", "1f1b"])
def test_a_rule_on_a_word_says_what_is_and_what_should_be(make_snapshot, wanted: str) -> None:
    check = only(gate(make_snapshot({}), [f"schedule == {wanted}"])).checks[0]
    assert (check.value, check.limit, check.reason) == ("dualpipe", wanted, "")
