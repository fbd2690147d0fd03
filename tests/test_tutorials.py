"""Every command of the tutorials does what the text around it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dpprof.cli import run

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))
_PIECE = re.compile(
    r"^```sh\n(?P<commands>.*?)^```$|^<!-- expects: (?P<expects>.+?) -->$", re.M | re.S
)


def pieces_of(text: str) -> list[tuple[list[str], list[str]]]:
    """Blocks of commands, each with the words that their output must hold."""
    found: list[tuple[list[str], list[str]]] = []
    for piece in _PIECE.finditer(text):
        if piece["commands"] is not None:
            found.append((piece["commands"].splitlines(), []))
        else:
            found[-1][1].append(piece["expects"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_the_commands_of_a_tutorial_work(
    tutorial: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = pieces_of(tutorial.read_text())
    assert blocks
    for commands, expected in blocks:
        for command in commands:
            line, _, comment = command.partition("  # ")
            arguments = shlex.split(line)
            assert arguments[0] == "dpprof"
            assert run(arguments[1:]) == (1 if comment == "exit 1" else 0), command
        shown = "".join(capfd.readouterr())
        for words in expected:
            assert words in shown, (commands, words)
