"""The command that takes the documentation's pictures does so, and its views are all known."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docs.images.make_screenshots import shots
from dpprof.dashboards.pages.addresses import known_of
from dpprof.dashboards.view.state import parse

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[3]


def test_a_picture_is_small_and_as_large_as_the_window(browser: Browser, tmp_path: Path) -> None:
    runs = [str(ROOT / "traces" / name) for name in ("dualpipe", "1f1b")]
    how = ["-o", str(tmp_path / "new"), "--only", "diff", "--only", "timeline"]
    done = subprocess.run(
        [sys.executable, "-m", "docs.images.make_screenshots", *runs, *how],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == ["diff.png", "timeline.png"]
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == [
        f"Wrote {tmp_path / 'new' / name}" for name in ("timeline.png", "diff.png")
    ]
    for file in files:
        data = file.read_bytes()
        assert struct.unpack(">II", data[16:24]) == (1366, 768)
        assert 10_000 < len(data) < 150_000


def test_the_pictures_are_of_views_that_there_are(library: Any) -> None:
    names = [shot.name for shot in shots(library)]
    assert len(set(names)) == len(names)
    for shot in shots(library):
        address = urlsplit(shot.view)
        _, problems = parse(address.path, address.query, known_of(library))
        assert problems == []


def test_the_pictures_that_the_documentation_shows_are_among_them(library: Any) -> None:
    known = {f"{shot.name}.png" for shot in shots(library)}
    there = {file.name for file in (ROOT / "docs" / "images").glob("*.png")}
    assert there <= known
    texts = [(ROOT / "README.md").read_text(), (ROOT / "docs" / "dashboard.md").read_text()]
    assert all(any(name in text for text in texts) for name in there)
