"""The report in one file: every page, whole, offline, and as hard to trick as the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dpprof.cli import run as dpprof
from dpprof.dashboards.app.static_report import check_report, report_html, write_report
from dpprof.dashboards.data.library import Library
from dpprof.dashboards.pages import all_pages
from dpprof.errors import EXIT_OK, EXIT_WRONG_USE, DpprofError

TRACES = Path(__file__).resolve().parents[2] / "traces"
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def document(library: Library) -> str:
    return report_html(library)


def outside_plotly(document: str) -> str:
    """The document without plotly's own script."""
    from plotly.offline import get_plotlyjs

    assert document.count(get_plotlyjs()) == 1
    return document.replace(get_plotlyjs(), "")


def figures(document: str) -> dict[str, Any]:
    found = re.findall(
        r'<script type="application/json" data-plot="(plot-\d+)">(.*?)</script>', document, re.S
    )
    return {place: json.loads(data) for place, data in found}


def test_every_page_that_can_be_read_is_a_section(document: str) -> None:
    sections = re.findall(r'<section class="chapter" id="([a-z_]+)">', document)
    keys = [page.key for page in all_pages()]
    assert [key for key in keys if key in sections] == sections
    assert set(keys) - set(sections) == {"what_if"}
    navigation = re.findall(r'<a class="page" href="#([a-z_]+)">', document)
    assert navigation == sections


def test_every_figure_has_its_place_and_its_data(document: str) -> None:
    places = re.findall(r'<div class="plot" id="(plot-\d+)"', document)
    assert len(places) > 10
    assert list(figures(document)) == places
    assert all(figure["data"] for figure in figures(document).values())


def test_it_fetches_nothing_and_may_not(document: str) -> None:
    own = outside_plotly(document)
    assert "default-src 'none'" in own
    assert not re.search(r"<(?:link|iframe|object|embed|base)\b", own)
    assert not re.search(r"""\b(?:src|href)\s*=\s*["'](?!#|data:image/)""", own)
    assert "@import" not in own
    assert "url(" not in own


def test_it_says_what_is_not_measured(document: str, library: Library) -> None:
    assert document.count("EMULATED: the time of components and messages is modelled") >= 2
    for id in library.ids:
        assert f"<b>{id}</b>" in document


def test_figures_of_the_report_are_in_it(document: str, library: Library) -> None:
    report = library.get("dualpipe").report
    assert f"{report.total.bubble_share:.1%}" in document
    assert f"{report.total.hidden_share:.1%}" in document


def test_two_runs_of_it_are_the_same(document: str, library: Library) -> None:
    assert report_html(library) == document


def test_names_from_traces_are_only_text(make_run, event) -> None:
    names = [event(0, 0, 10, name=EVIL), event(0, 5, 30, "dispatch", name=EVIL)]
    run = make_run([*names, event(0, 40, 50, name=EVIL, launch_ns=35)], name=EVIL)
    own = outside_plotly(report_html(Library.of_runs([run])))
    assert "<script>alert" not in own
    assert "<img src=x" not in own
    assert own.count("</script>") == own.count("<script")
    assert figures(own)


def test_a_run_without_anything_is_reported(make_run) -> None:
    own = outside_plotly(report_html(Library.of_runs([make_run([], name="nothing")])))
    assert "No rank communicates" in own


def test_an_error_of_a_page_is_in_its_place(library: Library, monkeypatch: Any) -> None:
    def broken(context: Any) -> Any:
        raise DpprofError("no <b>such</b> thing; do without")

    page = next(page for page in all_pages() if page.key == "memory")
    changed = [
        type(page)(key="memory", title="Memory", order=1, layout=broken) if one is page else one
        for one in all_pages()
    ]
    monkeypatch.setattr("dpprof.dashboards.app.static_report.all_pages", lambda: changed)
    assert "no &lt;b&gt;such&lt;/b&gt; thing; do without" in report_html(library)


def test_the_file_is_whole_or_not_there(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert write_report(library, path) == "open it in any browser"
    assert path.read_text(encoding="utf-8").endswith("</body></html>")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(DpprofError, match="exists already"):
        write_report(library, path)
    write_report(library, path, force=True)


@pytest.mark.parametrize("name", ["report", "report.json", "missing/report.html"])
def test_a_place_that_does_not_do_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(DpprofError):
        check_report(tmp_path / name)


def test_the_command_writes_it_beside_a_baseline(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "report.html"
    run, base = str(TRACES / "dualpipe"), str(TRACES / "1f1b")
    arguments = ["export", run, "--to", "html", "-o", str(path), "--baseline", base]
    assert dpprof(arguments) == EXIT_OK
    assert f"Wrote {path}; open it in any browser" in capsys.readouterr().err
    text = path.read_text(encoding="utf-8")
    assert "<title>dpprof: dualpipe beside 1f1b</title>" in text
    assert "What the difference from 1f1b is made of" in text


def test_the_command_refuses_what_makes_no_sense(tmp_path: Path, capsys: Any) -> None:
    run, snapshot = str(TRACES / "dualpipe"), str(tmp_path / "0=x.pickle")
    report = ["--to", "html", "-o", str(tmp_path / "t.html"), "--baseline", run]
    wrong = [
        (["--to", "csv", "-o", str(tmp_path / "t"), "--baseline", run], "html report"),
        (["--to", "html", "-o", str(tmp_path / "t.json")], "end its name in .html"),
        ([*report, "--memory-snapshot", snapshot], "leave out --baseline"),
    ]
    for arguments, words in wrong:
        assert dpprof(["export", run, *arguments]) == EXIT_WRONG_USE
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
