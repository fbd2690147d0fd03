"""The user's own patterns: asked first, of labels too, and never for longer than the limit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.config.settings import KindPattern
from dpprof.errors import DpprofError
from dpprof.trace.activities.kind_rules import KindClues, KindRule, Verdict
from dpprof.trace.activities.user_rules import LONGEST_TEXT, ask_patterns, kind_rules
from dpprof.trace.read.columns import Category

EXPONENTIAL = "(a|aa)+$"


def kernel(name: str, **found: str) -> KindClues:
    return KindClues(Category.KERNEL, name, **found)


def test_the_first_pattern_that_matches_decides() -> None:
    rules = kind_rules(
        [
            KindPattern(name="mine", pattern="^my_exchange", kind="dispatch"),
            KindPattern(name="slow", pattern=r"(?:ex)+(?:change)+", kind="combine"),
            KindPattern(name="group", pattern="", kind="p2p", where="group"),
        ]
    )
    evidence = [
        kernel("my_exchange"),
        kernel("an exchange", group="x"),
        kernel("gemm", group="x"),
        kernel("gemm"),
    ]
    assert ask_patterns(rules, evidence) == [
        Verdict("dispatch", "mine"),
        Verdict("combine", "slow"),
        Verdict("p2p", "group"),
        None,
    ]


def test_a_pattern_that_takes_for_ever_is_named() -> None:
    rules = [
        KindRule("fine", "name", "(?:b+)+$", "p2p"),
        KindRule("ever", "name", EXPONENTIAL, "p2p"),
    ]
    with pytest.raises(DpprofError, match=r"'ever'.*longer than 0\.1 s.*repetitions within"):
        ask_patterns(rules, [kernel("a" * 60 + "!")], limit_seconds=0.1)


def test_only_the_start_of_a_very_long_name_is_asked() -> None:
    rule = KindRule("end", "name", "end$", "p2p")
    far = kernel("x" * LONGEST_TEXT + "end")
    assert ask_patterns([rule], [far, kernel("end")]) == [None, Verdict("p2p", "end")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="ab\ud800é\n", max_size=5), max_size=4))
@pytest.mark.parametrize("pattern", ["a+b", "(a+)b", r"^\w.$", r"(?i)B|é\Z", "[^a]{2,}"])
def test_patterns_mean_what_they_mean_to_python(pattern: str, names: list[str]) -> None:
    found = ask_patterns([KindRule("own", "name", pattern, "p2p")], [kernel(one) for one in names])
    expected = [bool(one) and re.search(pattern, one) is not None for one in names]
    assert [one is not None for one in found] == expected


def test_labels_are_asked_by_their_short_names(build) -> None:
    events = [
        build.annotation(
            "dpprof:compute slot=F0.0 action=F0.0 part=F component=mlp layer=0", 0, 10
        ),
        build.annotation("dpprof:compute slot=F0.0 action=F0.0 part=F component=attention", 10, 10),
    ]
    mine = KindRule("mine", "name", r"^mlp\(F\)$", "all_reduce")
    found = build.tables(events, [mine])
    assert found.events["kind"].tolist() == ["all_reduce", "compute"]
    assert found.explained["rule"].tolist() == ["mine", "label"]
    assert found.explained["name"].tolist() == ["mlp(F)", "attention(F)"]
    everything = KindRule("labels", "annotation", "^dpprof:compute$", "broadcast")
    assert build.tables(events, [everything]).events["kind"].tolist() == ["broadcast"] * 2


def test_own_patterns_see_every_annotation(build) -> None:
    """The innermost that a pattern asks for, beside what the built-in ones say."""
    rules = [
        KindRule("mine", "annotation", "^my_exchange$", "combine"),
        KindRule("outer", "annotation", "^layer", "dispatch"),
        KindRule("no annotation", "annotation", "aten::mm", "p2p"),
    ]
    events = [
        build.annotation("PP:0F1", 0, 90),
        build.annotation("layer3", 1, 80),
        build.annotation("my_exchange", 10, 10),
        build.operator("aten::mm", 30, 10),
        build.kernel("exchange_tokens", 12, 100, 5),
        build.kernel("exchange_tokens", 32, 110, 5),
        build.kernel("exchange_tokens", 85, 120, 5),
    ]
    table = build.tables(events, rules).events
    assert table["kind"].tolist() == ["combine", "dispatch", "compute"]
    assert table["slot"].tolist() == ["F0.1"] * 3
