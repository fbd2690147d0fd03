"""What is made aside appears whole or not at all; what dead owners left goes, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dpprof.system.whole import (
    partial_folder,
    partial_path,
    remove_left_behind,
    whole_file,
    working_folder,
    write_whole,
)

MAKE = """
import sys, time
from pathlib import Path
from dpprof.system.whole import partial_folder, whole_file, working_folder
place = Path(sys.argv[1])
with whole_file(place / "x") as file, partial_folder(place, "run") as run, working_folder() as work:
    file.write(b"half"); file.flush()
    (run / "inside").write_text("half")
    print("made", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path):
    """A process that is making a file and two folders."""
    place, temporary = tmp_path / "place", tmp_path / "temporary"
    place.mkdir()
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, str(place)],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"made\n"
    yield process, place, temporary
    process.kill()
    process.wait()


def test_what_a_dead_owner_left_goes_and_what_a_living_one_makes_stays(owner, monkeypatch) -> None:
    process, place, temporary = owner
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (place / ".dpprof-not-ours").mkdir()
    (place / "mine.partial").write_text("mine")
    remove_left_behind(place)
    with working_folder():
        pass
    assert len(list(place.iterdir())) == 4
    assert len(list(temporary.iterdir())) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    write_whole(place / "y", b"whole")
    with working_folder() as work:
        assert list(temporary.iterdir()) == [work]
    assert list(temporary.iterdir()) == []
    assert sorted(one.name for one in place.iterdir()) == [".dpprof-not-ours", "mine.partial", "y"]


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("before")
    target.chmod(0o640)
    with pytest.raises(TypeError), whole_file(target) as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x", "before")]
    write_whole(target, b"after")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x", "after")]
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    write_whole(tmp_path / "x", b"")
    (tmp_path / "y").write_text("")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


def test_links_that_look_like_ours_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    link = partial_path(tmp_path, "link")
    link.symlink_to("other")
    remove_left_behind(tmp_path)
    assert link.is_symlink()
    assert (tmp_path / "other" / "file").exists()


def test_a_named_folder_can_be_put_in_place(tmp_path: Path) -> None:
    with partial_folder(tmp_path, "run") as folder:
        assert folder == partial_path(tmp_path, "run")
        (folder / "x").write_text("")
        folder.rename(tmp_path / "run")
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")] == ["run", "run/x"]
