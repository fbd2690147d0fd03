"""The launcher's side of a job, with commands of a shell in place of training."""

from __future__ import annotations

import pytest

from dpprof.launcher import job as module
from dpprof.launcher.job import LaunchedJob
from dpprof.launcher.notes import Note, Notebook
from dpprof.launcher.settings import Settings


class Heard:
    """What the launcher told."""

    def __init__(self):
        self.windows, self.end = [], None

    def wrote(self, folder, *, tracked):
        self.windows.append((folder.name, tracked))
        return {}

    def ended(self, folders, notes):
        self.end = [folder.name for folder in folders]


def run(folder, command):
    heard = Heard()
    settings = Settings(folder=str(folder / "out"), notes=str(folder / "notes"))
    return LaunchedJob(["sh", "-c", command], settings, heard).run(), heard


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_that_of_a_shell(tmp_path, command, code):
    assert run(tmp_path, command)[0] == code
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_window_is_told_once_when_all_its_ranks_are_there(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(module, "_POLL_S", 0.01)  # it looks often, until the job ends
    out = tmp_path / "out"
    out.mkdir()
    manifest = '{"schema_version": 1, "source": "captured", "schedule": null, "device": "cpu", '
    manifest += '"world_size": 2, "ranks": [], "steps": {"warmup": [], "measured": [0]}}'
    (out / "run.json").write_text(manifest)
    for rank in range(1 + whole):
        (out / f"rank{rank}.json.gz").touch()
    said = tmp_path / "said"
    said.mkdir()
    for rank in range(2):
        Notebook(said).write(Note("wrote", folder=str(out), rank=rank, tracked=rank == 0))
    code, heard = run(tmp_path, f"cp {said}/*.log {tmp_path}/notes/; sleep 0.1")
    assert (code, heard.end) == (0, ["out"])
    assert heard.windows == [("out", True)] * whole
