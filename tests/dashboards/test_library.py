"""Runs by id: short names, loaded once, nothing by a path."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dpprof.dashboards.data.library import Library, path_ids, unique_ids
from dpprof.errors import DpprofError
from dpprof.trace.load import load_run

TRACES = Path(__file__).resolve().parents[2] / "traces"


def test_ids_are_plain_and_none_is_given_twice():
    names = ["dualpipe", "dualpipe", "a b/c", "../..", "x" * 99, "ideal~ideal"]
    assert unique_ids(names) == ["dualpipe", "dualpipe-2", "a-b-c", "run", "x" * 40, "ideal-ideal"]


def test_runs_called_alike_are_told_apart_by_their_folder():
    paths = ["/a/old/dualpipe", "/a/new/dualpipe", "trace.json.gz"]
    assert path_ids(paths) == ["old-dualpipe", "new-dualpipe", "trace"]


def test_a_run_is_loaded_when_it_is_asked_for_and_only_once():
    loaded = []

    def load():
        loaded.append(threading.get_ident())
        return load_run(TRACES / "dualpipe")

    library = Library({"dualpipe": load})
    assert loaded == []
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: library.get("dualpipe"), range(8)))
    assert len(loaded) == 1
    assert all(run is runs[0] for run in runs)
    assert runs[0].report.schedule == "dualpipe"


def test_an_error_is_not_kept():
    answers = iter([DpprofError("not yet"), 5])

    def make():
        answer = next(answers)
        if isinstance(answer, DpprofError):
            raise answer
        return answer

    library = Library({"x": lambda: load_run(TRACES / "dualpipe")})
    with pytest.raises(DpprofError, match="not yet"):
        library.kept("key", make)
    assert library.kept("key", make) == 5
    assert library.kept("key", make) == 5


@pytest.mark.parametrize("id", ["nobody", "/etc/passwd", "../dualpipe", "nobody~ideal", ""])
def test_only_its_own_runs_are_found(library, id):
    with pytest.raises(DpprofError, match="the runs are dualpipe, 1f1b"):
        library.get(id)


def test_the_ideal_of_a_run_is_what_its_report_says(library):
    ideal, measured = library.get("dualpipe~ideal"), library.get("dualpipe")
    assert ideal.source == "simulated"
    assert ideal.report.window_ns * measured.report.ideal.steps == measured.report.ideal.window_ns
    assert library.all_ids == ("dualpipe", "1f1b", "dualpipe~ideal", "1f1b~ideal")


def test_no_run_is_refused():
    with pytest.raises(DpprofError, match="name at least one"):
        Library({})
