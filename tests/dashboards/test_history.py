"""The history of runs, what may be opened, and what is taken up while the dashboard runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dpprof.dashboards.app.watch import Watcher
from dpprof.dashboards.data.history import METRICS, run_entries, trends, verdict
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.data.shelf import Shelf
from dpprof.dashboards.pages.runs import layout
from dpprof.dashboards.view.page import Context
from dpprof.dashboards.view.state import ViewState
from dpprof.dashboards.view.theme import LIGHT
from dpprof.errors import DpprofError
from dpprof.gate.files import write_baseline
from dpprof.gate.measure import Measured, take_snapshot
from dpprof.runs.run import Run
from dpprof.trace.load import load_run
from tests.dashboards.conftest import components

TRACES = Path(__file__).resolve().parents[2] / "traces"


def loader(path: str) -> Any:
    return lambda: load_run(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs, one of them deeper, and a file that is none."""
    shutil.copytree(TRACES / "dualpipe", tmp_path / "first")
    shutil.copytree(TRACES / "1f1b", tmp_path / "older" / "second")
    (tmp_path / "notes.json").write_text("{}")
    return tmp_path


@pytest.fixture
def shelved(folder: Path) -> Library:
    path = str(folder / "first")
    shelf = Shelf((str(folder),), loader)
    return Library({"first": loader(path)}, "", {"first": path}, shelf)


def test_only_what_lies_below_the_folders_given_is_opened(shelved: Library, folder: Path) -> None:
    assert shelved.closed() == {"second": str(folder / "older" / "second")}
    for other in ("../1f1b", str(TRACES / "1f1b"), "1f1b", "first", ""):
        with pytest.raises(DpprofError, match="no run"):
            shelved.open(other)
    assert shelved.open("second").id == "second"
    assert shelved.ids == ("first", "second")
    assert shelved.get("second").report.schedule == "1f1b"
    assert shelved.closed() == {}


def test_a_link_out_of_the_folder_is_not_followed(shelved: Library, folder: Path) -> None:
    (folder / "elsewhere").symlink_to(TRACES, target_is_directory=True)
    assert list(shelved.closed()) == ["second"]


def test_a_run_is_taken_up_when_it_is_written_and_not_before(folder: Path) -> None:
    path = str(folder / "first")
    library = Library({"first": loader(path)}, "", {"first": path}, Shelf((str(folder),), loader))
    said: list[str] = []
    watcher = Watcher(library, said.append)
    assert watcher.look() == []
    assert watcher.look() == [], "what was there before is opened by hand"
    shutil.copytree(TRACES / "1f1b", folder / "new")
    assert watcher.look() == [], "it may still be written"
    (folder / "new" / "more.txt").write_text("still at it")
    assert watcher.look() == []
    assert watcher.look() == ["new"]
    assert library.ids == ("first", "new")
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    assert [watcher.look() for _ in range(3)] == [[], [], []]
    assert sum("broken" in text for text in said) == 1


def test_the_page_lists_runs_and_baselines_with_the_verdict_of_the_gate(
    shelved: Library, folder: Path, text_of: Any, links_of: Any
) -> None:
    run = shelved.get("first")
    write_baseline(folder / "kept.json", take_snapshot([Measured(run.run, run.report)]))
    shelved.open("second")
    view = ViewState(page="runs", baseline="second")
    content = layout(Context(shelved, view, LIGHT))
    text = text_of(content, "runs")
    assert "kept.json (baseline file)" in text
    assert "not comparable" in text
    assert any("/diff?runs=first&baseline=second" in link for link in links_of(content))


def slower(make_run: Any, event: Any, steps: list[list[int]]) -> list[Run]:
    return [
        make_run(
            [
                event(0, sum(lengths[:number]), sum(lengths[: number + 1]), step=number)
                for number in range(len(lengths))
            ],
            name=f"run-{place}",
            used_steps=tuple(range(len(lengths))),
            source="simulated",
        )
        for place, lengths in enumerate(steps)
    ]


def test_what_got_worse_is_told_from_noise(make_run: Any, event: Any) -> None:
    million = 1_000_000
    steps = [
        [million, million + 9, million - 9],
        [million + 4, million + 5, million - 8],
        [2 * million, 2 * million + 9, 2 * million - 9],
        [million, million + 9, million - 9],
    ]
    library = Library.of_runs(slower(make_run, event, steps))
    (points,) = trends(run_entries(library), "step_ns").values()
    assert [point.worse for point in points] == [0, 0, 1, -1]
    assert METRICS["step_ns"].better == -1
    base, same, worse, _ = run_entries(library)
    assert verdict(same, base).word == "passed"
    assert verdict(worse, base).word == "failed"
    assert "step_ns > +2%" in verdict(worse, base).about
    assert verdict(base, base).word == ""


def test_manifest_and_commit_stand_in_the_table(folder: Path) -> None:
    path = folder / "first" / "run.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"commit": "c0ffee" * 5, "created": "2026-11-30T10:00"}))
    library = Library({"first": loader(str(folder / "first"))})
    (entry,) = run_entries(library)
    assert (entry.commit[:6], entry.created) == ("c0ffee", "2026-11-30T10:00")
    assert entry.sizes == "PP 4, 8 mb, 4 ranks"


def test_the_figures_of_a_run_are_those_of_its_report(library: Library) -> None:
    for entry in run_entries(library):
        report = library.get(entry.id).report
        assert entry.figures["bubble_share"] == report.total.bubble_share
        assert entry.figures["step_ns"] == report.step_ns
        assert entry.figures["tokens_per_second"] == report.tokens_per_second


def test_only_changes_beyond_chance_have_a_colour_in_the_matrix(
    make_run: Any, event: Any, make_context: Any
) -> None:
    def run(name: str, lengths: list[int]) -> Run:
        starts = [1_000_000 * step for step in range(len(lengths))]
        rows = [
            event(0, start, start + 1000 * length, step=step)
            for step, (start, length) in enumerate(zip(starts, lengths, strict=True))
        ]
        windows = tuple(range(len(lengths)))
        return make_run(rows, used_steps=windows, name=name)

    runs = [
        run("steady", [100, 101, 99, 100]),
        run("slower", [150, 151, 149, 150]),
        run("odd", [100, 101, 99, 500]),
    ]
    context = make_context(runs=runs, page="runs")
    cells = [
        one
        for one in components(layout(context))
        if str(getattr(one, "className", "")).startswith("verdict")
        and "%" in str(getattr(one, "children", ""))
    ]
    assert cells
    moods = {(one.children.href, one.className.split()[-1]) for one in cells}
    of = {
        (new, base): mood
        for href, mood in moods
        for new in ("steady", "slower", "odd")
        for base in ("steady", "slower", "odd")
        if f"runs={new}" in href and f"baseline={base}" in href
    }
    assert of["slower", "steady"] == "worse"
    assert of["steady", "slower"] == "better"
    assert of["odd", "steady"] == of["steady", "odd"] == "verdict"
