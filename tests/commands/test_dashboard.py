"""``dpprof dashboard``: what it serves, to whom, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from dpprof.cli import run as dpprof
from dpprof.commands import dashboard
from dpprof.commands._reading import LOCAL
from dpprof.errors import DpprofError

TRACES = Path(__file__).resolve().parents[2] / "traces"
DUALPIPE, BASE = str(TRACES / "dualpipe"), str(TRACES / "1f1b")


def library_of(*runs, baseline=None):
    return dashboard.load_library(runs, baseline, LOCAL, {})


def test_runs_are_known_by_their_names_and_the_last_is_the_baseline():
    library = library_of(DUALPIPE, BASE)
    assert (library.ids, library.baseline) == (("dualpipe", "1f1b"), "1f1b")
    assert library.get("dualpipe").report.schedule == "dualpipe"


@pytest.fixture
def pair(tmp_path):
    """A folder that holds the two runs."""
    for run in (DUALPIPE, BASE):
        (tmp_path / Path(run).name).symlink_to(run)
    return str(tmp_path)


def test_a_folder_of_runs_is_all_of_them(pair):
    library = library_of(pair)
    assert (library.ids, library.baseline) == (("dualpipe", "1f1b"), "1f1b")


def test_of_a_folder_without_1f1b_the_first_that_was_made_is_the_baseline(tmp_path):
    for name, day in (("c", "2026-11-30"), ("a", "2026-12-02"), ("b", "2026-12-01")):
        shutil.copytree(DUALPIPE, tmp_path / name)
        manifest = json.loads((tmp_path / name / "run.json").read_text())
        manifest["created"] = f"{day}T00:00:00Z"
        (tmp_path / name / "run.json").write_text(json.dumps(manifest))
    assert library_of(str(tmp_path)).baseline == "c"
    assert library_of(str(tmp_path), baseline=str(tmp_path / "b")).baseline == "b"


def test_a_run_alone_has_no_baseline():
    assert library_of(DUALPIPE).baseline == ""


@pytest.mark.parametrize("runs", [(DUALPIPE,), (DUALPIPE, BASE)])
def test_the_baseline_is_shown_too_and_only_once(runs):
    library = library_of(*runs, baseline=BASE)
    assert (library.ids, library.baseline) == (("dualpipe", "1f1b"), "1f1b")
    assert library_of(DUALPIPE, BASE, baseline=DUALPIPE).baseline == "dualpipe"


def test_steps_are_those_that_were_asked_for():
    whole = library_of(DUALPIPE).get("dualpipe")
    last = whole.run.used_steps[-1]
    library = dashboard.load_library([DUALPIPE], None, LOCAL, {"steps": str(last)})
    assert library.get("dualpipe").run.used_steps == (last,)


def test_several_runs_are_no_baseline(pair):
    with pytest.raises(DpprofError, match="holds several runs; name one"):
        library_of(DUALPIPE, baseline=pair)


def test_a_missing_run_is_wrong_use(capsys):
    assert dpprof(["dashboard", "nowhere", "--port", "0", "--no-browser"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_before_anything_is_read(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert dpprof(["dashboard", "nowhere", "--port", port, "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 cannot be used" in error
    assert "nowhere" not in error


def test_what_is_not_installed_is_named(capsys, monkeypatch):
    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda name: None)
    assert dpprof(["dashboard", DUALPIPE]) == 2
    assert "pip install 'dpprof[dashboard]'" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_serves_until_ctrl_c_and_warns_where_others_can_see_it(host):
    command = [sys.executable, "-m", "dpprof", "dashboard", DUALPIPE, "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-browser", "--host", host],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    said = ""
    try:
        while "Dashboard at" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        port, token = re.search(r":(\d+)/(\S*)", said).groups()
        assert bool(token) == (host == "0.0.0.0")
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        if token:
            with pytest.raises(urllib.error.HTTPError, match="403"):
                browser.open(f"http://127.0.0.1:{port}/")
        with browser.open(f"http://127.0.0.1:{port}/{token}") as answer:
            assert b"dash-renderer" in answer.read()
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert ("lets everyone who reaches this machine" in said) == (host == "0.0.0.0")
    assert "Traceback" not in said
