"""What a view may ask to be simulated, with which costs, and what is held of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dpprof.analysis.costs_from_run import costs_from_run
from dpprof.analysis.report.analyze import analyze
from dpprof.cli import cli
from dpprof.commands._reading import ReadingOptions
from dpprof.commands.dashboard import load_library
from dpprof.costs.load import load_costs
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.dashboards.what_if import costs
from dpprof.dashboards.what_if.controls import choice
from dpprof.dashboards.what_if.costs import costs_of
from dpprof.dashboards.what_if.request import WhatIf, measured_of, what_if_of
from dpprof.dashboards.what_if.simulated import Beside, beside, simulated
from dpprof.errors import DpprofError
from dpprof.runs.manifest import RankPlace
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run
from dpprof.tables.columns import EVENTS, make_table
from dpprof.trace.load import load_run

SAMPLES = Path(__file__).resolve().parents[2] / "traces"


@pytest.fixture(scope="module")
def library() -> Library:
    return Library({name: (lambda name=name: load_run(SAMPLES / name)) for name in NAMES}, "1f1b")


NAMES = ("dualpipe", "1f1b")


def asking(library: Library, **options: str) -> Context:
    return Context(library, ViewState(page="what_if", options=options), LIGHT)


def test_what_is_left_out_is_as_in_the_run(library: Library) -> None:
    own = WhatIf("dualpipe", 4, 8, "dualpipe", "eager", None)
    assert what_if_of(asking(library)) == own
    assert what_if_of(asking(library, costs="1f1b")) == WhatIf("1f1b", 4, 8, "1f1b", "eager", None)
    given = {"schedule": "zb1p", "pp": "6", "micro_batches": "12", "costs": "unit", "layers": "2"}
    assert what_if_of(asking(library, **given)) == WhatIf("zb1p", 6, 12, "unit", "eager", 2)


def test_another_schedule_cuts_the_same_model(library: Library) -> None:
    """Two layers in each of four stages are one in each of eight."""
    halves = what_if_of(asking(library, schedule="dualpipev"))
    assert halves == WhatIf("dualpipev", 4, 8, "dualpipe", "eager", 1)
    assert "--layers 1" in halves.command(library)
    assert what_if_of(asking(library, schedule="1f1b", pp="2")).layers == 4
    assert what_if_of(asking(library, schedule="1f1b")).layers is None
    given = asking(library, schedule="dualpipev", layers="2")
    assert what_if_of(given).layers == 2
    built_in = asking(library, schedule="dualpipev", costs="unit-components")
    assert what_if_of(built_in).layers is None
    with pytest.raises(DpprofError, match="3 stages, by which its 8 layers do not divide"):
        what_if_of(asking(library, schedule="1f1b", pp="3"))


def test_stages_may_be_unequal_and_are_the_same_on_the_command_line(library: Library) -> None:
    context = asking(library, costs="1f1b", layers="1,2,2,3", micro_batches="12")
    asked = what_if_of(context)
    assert (asked.layers, asked.stage_layers) == (None, (1, 2, 2, 3))
    line = asked.command(library).replace(" 1f1b --comm", f" {SAMPLES / '1f1b'} --comm")
    assert "--layers 1,2,2,3" in line
    shown = simulated(library, asked).report.step_ns
    result = CliRunner().invoke(cli, [*shlex.split(line)[1:], "--format", "json"])
    assert json.loads(result.stdout)["step_ns"] == shown
    even = simulated(library, what_if_of(asking(library, costs="1f1b", micro_batches="12")))
    assert shown > even.report.step_ns
    assert "value='1,2,2,3'" in str(choice(context, asked))


@pytest.mark.parametrize(
    ("layers", "words"), [("1,2,3", "3 numbers for 4 stages"), ("1,,2,3", "one for each stage")]
)
def test_stages_that_are_no_cut_are_refused(library: Library, layers: str, words: str) -> None:
    with pytest.raises(DpprofError, match=words):
        simulated(library, what_if_of(asking(library, costs="1f1b", layers=layers)))


def test_the_command_names_the_costs_by_their_path() -> None:
    path = str(SAMPLES / "a folder" / "1f1b")
    library = load_library([str(SAMPLES)], None, ReadingOptions(), {})
    asked = WhatIf("zb1p", 4, 8, "1f1b", "eager", None)
    assert shlex.split(asked.command(library))[7:9] == ["--costs", str(SAMPLES / "1f1b")]
    spaced = Library({"1f1b": lambda: load_run(SAMPLES / "1f1b")}, paths={"1f1b": path})
    assert shlex.split(asked.command(spaced))[8] == path
    built_in = WhatIf("zb1p", 4, 8, "unit", "eager", None)
    assert shlex.split(built_in.command(library))[8] == "unit"


def test_the_run_beside_is_that_of_the_costs(library: Library) -> None:
    assert measured_of(asking(library, costs="1f1b")).id == "1f1b"
    assert measured_of(asking(library, costs="unit")).id == "dualpipe"
    ideal = Context(library, ViewState(page="what_if", runs=("1f1b~ideal",)), LIGHT)
    assert measured_of(ideal).id == "1f1b"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pp": "x"}, "no number"),
        ({"pp": "0"}, "no number"),
        ({"micro_batches": "-3"}, "no number"),
        ({"pp": "99999999999"}, "no number"),
        ({"pp": "65"}, "more than a page waits for"),
        ({"layers": "999"}, "more than a page waits for"),
        ({"micro_batches": "1025"}, "dpprof simulate dualpipe --pp 4 --micro-batches 1025"),
    ],
)
def test_nonsense_and_too_much_are_refused(
    library: Library, options: dict[str, str], words: str
) -> None:
    with pytest.raises(DpprofError, match=words):
        what_if_of(asking(library, **options))


def test_sizes_that_the_schedule_does_not_take_are_refused(library: Library) -> None:
    with pytest.raises(DpprofError):
        simulated(library, WhatIf("dualpipe", 3, 8, "unit", "eager", None))
    with pytest.raises(DpprofError, match="there are no costs 'none'"):
        simulated(library, WhatIf("dualpipe", 4, 8, "none", "eager", None))


def test_a_run_that_tells_no_costs_gets_built_in_ones() -> None:
    events = make_table(
        EVENTS, {"rank": [0], "step": 0, "start_ns": [0], "end_ns": [9], "kind": ["compute"]}
    )
    run = Run("bare", "captured", events, (RankPlace(rank=0, pp_rank=0),))
    bare = Library.of_runs([run])
    asked = what_if_of(asking(bare))
    assert (asked.costs, asked.schedule, asked.pp) == ("deepseek-v3", "dualpipe", 8)
    with pytest.raises(DpprofError, match="no costs"):
        costs_of(bare, "bare")


def test_the_figures_are_those_of_the_simulator(library: Library) -> None:
    asked = WhatIf("zb1p", 4, 12, "1f1b", "eager", None)
    measured = costs_from_run(load_run(SAMPLES / "1f1b"), "1f1b")
    expected = analyze(simulated_run(make_schedule("zb1p", 4, 12), measured))
    assert simulated(library, asked).report == expected
    built_in = WhatIf("gpipe", 4, 4, "deepseek-v3", "batched", 2)
    run = simulated_run(
        make_schedule("gpipe", 4, 4), load_costs("deepseek-v3"), layers=2, communication="batched"
    )
    assert simulated(library, built_in).report == analyze(run)


def test_a_what_if_is_simulated_once_and_the_oldest_gives_way(library: Library) -> None:
    asked = WhatIf("gpipe", 2, 4, "unit", "eager", None)
    first = simulated(library, asked)
    assert simulated(library, asked) is first
    assert beside(library, first) is beside(library, first)
    for number in range(5, 20):
        simulated(library, WhatIf("gpipe", 2, number, "unit", "eager", None))
    assert simulated(library, asked) is not first


def test_of_a_big_run_one_step_gives_the_costs(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(SAMPLES / "dualpipe")
    one_step = costs_from_run(load_run(SAMPLES / "dualpipe", steps=str(run.used_steps[0])), "a")
    big = Library({"a": lambda: run})
    assert costs.step_of_costs(big, "a") is None
    monkeypatch.setattr(costs, "MOST_EVENTS", 10)
    assert costs.step_of_costs(big, "a") == run.used_steps[0]
    assert costs.step_of_costs(big, "unit") is None
    measured = costs_of(big, "a")
    assert measured.component_ns == one_step.component_ns
    assert measured.message == one_step.message
    assert "events" not in vars(run), "the whole table is not read"


def test_what_is_of_the_simulated_run_goes_with_it(library: Library) -> None:
    run = simulated(library, WhatIf("gpipe", 2, 4, "unit", "eager", None))
    both = Beside(library, run)
    assert both.get(run.id) is run
    assert both.get("1f1b") is library.get("1f1b")
    made: list[str] = []

    def make(name: str) -> Any:
        made.append(name)
        return name

    for _ in range(2):
        both.kept(("index", run.id), lambda: make("own"))
        both.kept(("index", "1f1b", "here"), lambda: make("theirs"))
        library.kept(("index", "1f1b", "here"), lambda: make("again"))
    assert made == ["own", "theirs"]
    library.kept(("index", run.id), lambda: make("not kept beneath"))
    assert made[-1] == "not kept beneath"
