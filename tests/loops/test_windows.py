"""Ranks begin a window at the same step, whoever of them saw the reason."""

from __future__ import annotations

import pytest

from dpprof.errors import DpprofError
from dpprof.launcher import windows as module
from dpprof.launcher.rules import WindowRule, read_rule
from dpprof.launcher.settings import Settings
from dpprof.launcher.windows import Windows, ask_for_window


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("step == 2000", WindowRule(at=2000)),
        ("step==7", WindowRule(at=7)),
        ("step % 1000 == 0", WindowRule(every=1000)),
        ("step_time > 1.5x median", WindowRule(slower_than_median=1.5)),
        ("step_time > 2 * median", WindowRule(slower_than_median=2)),
        ("signal", WindowRule(signal=True)),
    ],
)
def test_rules(text, rule):
    assert read_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["", "step", "step = 3", "step % 0 == 0", "step_time > 0.5x median"]
)
def test_a_rule_that_is_none_is_an_error_with_the_forms_there_are(text):
    with pytest.raises(DpprofError, match="step == 2000"):
        read_rule(text)


class Ranks:
    """Ranks that step together, but for `late`: so many steps later than the others."""

    def __init__(self, folder, when, count=3, **options):
        settings = Settings(folder=str(folder), notes=str(folder), when=when, warmup=2, **options)
        self.windows = [Windows(settings) for _ in range(count)]
        self.clock = 0.0
        self.begun = [[] for _ in range(count)]

    def step(self, number, lengths):
        self.clock += max(lengths)
        for begun, one, length in zip(self.begun, self.windows, lengths, strict=True):
            one.took(length)
            if one.begins_after(number):
                begun.append((number, one.folder(number).name))


@pytest.fixture
def ranks(tmp_path, monkeypatch):
    def make(when, **options):
        for old in tmp_path.iterdir():
            old.unlink()
        made = Ranks(tmp_path, when, **options)
        monkeypatch.setattr(module.time, "monotonic", lambda: made.clock)
        return made

    return make


def test_without_a_rule_there_is_one_window_after_the_first_steps(ranks, tmp_path):
    made = ranks("", skip=3)
    for number in range(1, 30):
        made.step(number, [0.1, 0.1, 0.1])
    assert made.begun == [[(3, tmp_path.name)]] * 3


def test_a_rule_on_the_number_names_the_first_recorded_step(ranks):
    made = ranks("step % 10 == 0")
    for number in range(1, 30):
        made.step(number, [0.1, 0.1, 0.1])
    assert made.begun == [[(7, "step10"), (17, "step20"), (27, "step30")]] * 3


def test_what_one_rank_sees_alone_begins_on_all_at_one_step(ranks):
    made = ranks("step_time > 1.5x median")
    for number in range(1, 60):
        made.step(number, [0.1, 0.3 if number == 20 else 0.1, 0.1])
    assert made.begun[0] == made.begun[1] == made.begun[2]
    [(begins, _)] = made.begun[0]
    assert 20 < begins < 40


def test_a_rank_that_sees_its_reason_later_moves_no_window(ranks):
    made = ranks("step_time > 1.5x median")
    for number in range(1, 60):
        slow = {20: (0.1, 0.3, 0.1), 24: (0.3, 0.1, 0.1)}
        made.step(number, slow.get(number, (0.1, 0.1, 0.1)))
    alone = ranks("step_time > 1.5x median")
    for number in range(1, 60):
        alone.step(number, [0.1, 0.3 if number == 20 else 0.1, 0.1])
    assert made.begun == alone.begun
    assert made.begun[0] == made.begun[1] == made.begun[2]


def test_another_shell_may_ask_at_any_time(ranks, tmp_path):
    made = ranks("signal")
    for number in range(1, 100):
        if number in (20, 60):
            ask_for_window(tmp_path)
        made.step(number, [0.05, 0.05, 0.05])
    assert made.begun[0] == made.begun[1] == made.begun[2]
    assert len(made.begun[0]) == 2
