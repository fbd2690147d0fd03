"""Names and notes from traces and manifests do nothing to a terminal, a page or a CI system."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dpprof import cli

TRACES = Path(__file__).parents[2] / "traces"
ESCAPE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"
LINKS = (
    "[x](javascript:alert(1)) ![x](http://example.org/p.png) <img src=x> https://example.org "
    "www.example.org somebody@example.org @somebody"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TRACES / "1f1b", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    note = f"{ESCAPE} {LINKS}\n::error::fooled"
    changes = {"notes": [note], "device_name": note, "source": "captured"}
    (tmp_path / "run" / "run.json").write_text(json.dumps(manifest | changes))
    return tmp_path


RULE = ("--fail-if", "bubble_share > 1%")


@pytest.mark.parametrize(
    "command",
    [
        ("analyze", "run"),
        ("analyze", "run", "--format", "markdown"),
        ("analyze", "run", "--format", "json"),
        ("analyze", "run", "-o", "x.md"),
        ("diff", "run", "run", "--format", "markdown"),
        ("gate", "run", *RULE, "--format", "markdown"),
        ("gate", "run", *RULE, "--format", "github"),
        ("analyze", f"no{ESCAPE}"),
        ("gate", "run", "--baseline", f"no{ESCAPE}"),
    ],
)
def test_nothing_reaches_a_terminal_raw(run: Path, capfd, command: tuple[str, ...]) -> None:
    cli.run(list(command))
    said = capfd.readouterr()
    written = "".join(file.read_text() for file in run.glob("x.*"))
    for text in (said.out, said.err, written):
        acts = "\x1b\x07" if command[-1] == "json" else "\x1b\x07\x9b\u202e"
        assert not set(text) & set(acts)
        assert not any(line.startswith("::error::fooled") for line in text.splitlines())


def test_links_in_names_are_dead_in_markdown(run: Path, capfd, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(run / "summary.md"))
    cli.run(["gate", "run", *RULE, "--format", "markdown"])
    cli.run(["analyze", "run", "--format", "markdown"])
    text = capfd.readouterr().out + (run / "summary.md").read_text()
    assert "javascript" in text  # the note is there
    for live in ("[x](", "](http", "://", "www.", "<img", "@example", " @some"):
        assert live not in text.replace(f"\\{live}", "")
