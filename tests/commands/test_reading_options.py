"""How ranks are read, by option; and the progress, on a terminal only."""

from __future__ import annotations

import pytest

from dpprof.cli import run as dpprof
from dpprof.commands._reading import ReadingOptions


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--executor", "dask"], "add --scheduler tcp://HOST:8786"),
        (["--scheduler", "tcp://here:1"], "add --executor dask"),
        (["--executor", "spark"], "'spark' is not one of"),
    ],
)
def test_options_that_do_not_fit(capsys, options, words) -> None:
    assert dpprof(["analyze", "none", *options]) == 2
    assert words in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal_only(monkeypatch, capsys) -> None:
    with ReadingOptions().shown() as reading:
        assert reading.progress is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with ReadingOptions("dask", "tcp://here:1").shown() as reading:
        assert reading.scheduler == "tcp://here:1"
        assert reading.progress is not None
        reading.progress(3, 4)
    shown = capsys.readouterr()
    assert ("Reading ranks" in shown.err, "75%" in shown.err, shown.out) == (True, True, "")
