"""`dpprof run` on jobs that do not train, or go wrong: nothing worse than a clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the launcher captures with torch")

from dpprof import cli

NOTHING = "nothing was recorded: no training step was seen"

TRAIN = """
    import torch
    weight = torch.nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    def train(steps, weight=weight, optimizer=optimizer):
        for _ in range(steps):
            (weight * weight).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
"""


TRACKER = """
    class run:
        def log(scalars, commit):
            with open("logged", "a") as file:
                file.write(f"{commit} {sorted(scalars)}\\n")
"""


def run(folder: Path, script: str, *options: str, **environment: str):
    (folder / "train.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-m", "dpprof", "run", "-o", "out", "--quiet", *options, "--"]
    return subprocess.run(
        [*command, sys.executable, "train.py", "one"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def written(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_a_job_without_training_is_left_as_it_is(tmp_path):
    done = run(tmp_path, "import sys; print('hello', sys.argv[1]); sys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "hello one\n")
    assert NOTHING in done.stderr
    assert written(tmp_path) == ["train.py"]


def test_torch_is_not_imported_for_a_job_that_does_not(tmp_path):
    script = """
        import sys
        names = [name for name in sys.modules if name.split(".")[0] in ("torch", "dpprof")]
        print(names, any(path.endswith("launcher/hook") for path in sys.path))
    """
    assert run(tmp_path, script).stdout == "[] False\n"


def test_the_jobs_own_sitecustomize_runs(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("answer = 42\n")
    script = "import sitecustomize; print(sitecustomize.answer)"
    assert run(tmp_path, script, PYTHONPATH=str(own)).stdout == "42\n"


def test_a_plain_loop_is_recorded_and_computes_what_it_did(tmp_path):
    done = run(tmp_path, TRAIN + "    train(6)\n    print(weight.tolist())\n", "--num-steps", "2")
    assert done.returncode == 0
    plain: dict = {}
    exec(textwrap.dedent(TRAIN + "    train(6)\n"), plain)
    assert done.stdout == f"{plain['weight'].tolist()}\n"
    assert written(tmp_path) == ["out/rank0.json.gz", "out/run.json", "train.py"]
    assert "dpprof" not in done.stderr


def test_a_job_may_become_another_and_crash_and_leaves_what_is_complete_beside_what_is_there(
    tmp_path,
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("mine")
    last = """
    import atexit, multiprocessing.util, pathlib
    atexit.register(lambda: print(pathlib.Path("out-2/run.json").exists()))  # as a tracker's
    """
    other = last + TRAIN + "    train(5)\n    raise KeyError('the job')\n"
    (tmp_path / "other.py").write_text(textwrap.dedent(other))
    done = run(tmp_path, "import os, sys; os.execv(sys.executable, [sys.executable, 'other.py'])")
    assert (done.returncode, done.stdout) == (1, "True\n")
    assert "KeyError: 'the job'" in done.stderr
    assert "saw 4 of 5 steps: 2 are in" in done.stderr
    assert "goes to" in done.stderr
    assert (tmp_path / "out" / "run.json").read_text() == "mine"
    assert {"out-2/rank0.json.gz", "out-2/run.json"} <= set(written(tmp_path))


def test_a_job_that_ends_too_early_is_told_so(tmp_path):
    done = run(tmp_path, TRAIN + "    train(1)\n")
    assert done.returncode == 0
    assert "has nothing to write" in done.stderr
    assert "nothing was recorded: the job trains (optimizer)" in done.stderr
    assert written(tmp_path) == ["train.py"]


def test_a_job_that_is_killed_behind_its_window_is_not_told_to_choose_fewer_steps(tmp_path):
    done = run(tmp_path, TRAIN + "    import os\n    train(6)\n    os._exit(3)\n")
    assert done.returncode == 3
    assert "nothing was written: steps were recorded" in done.stderr


def test_a_child_disturbs_no_capture_and_a_profiler_of_the_jobs_own_goes_before(tmp_path):
    script = (
        TRAIN
        + """
    import multiprocessing
    def train_beside():
        train(5)
        print(torch.autograd._profiler_enabled(), flush=True)
    train(3)
    other = multiprocessing.get_context("fork").Process(target=train_beside)
    other.start()
    other.join()
    train(2)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as own:
        train(2)
    print(sum(one.key.startswith("Optimizer.step") for one in own.key_averages()))
    """
    )
    done = run(tmp_path, script)
    # The child's copy of the parent's profiler was not taken for its own, nor stopped.
    assert (done.returncode, done.stdout) == (0, "True\n1\n")
    assert "profiler of its own" in done.stderr
    assert "saw 4 of 5 steps: 2 are in" in done.stderr
    assert {"out/rank0.json.gz", "out/run.json"} <= set(written(tmp_path))


def test_two_launchers_meet_in_one_folder_and_a_dead_ones_rules_do_not_count(tmp_path):
    from dpprof.launcher.meeting import Meeting

    first, second = Meeting(tmp_path / "notes", process=1), Meeting(tmp_path / "notes")
    first.enter()
    (tmp_path / "notes" / "window-0").write_text("5")
    second.enter()
    second.leave()
    assert (tmp_path / "notes" / "window-0").exists()
    first.leave()
    assert not (tmp_path / "notes").exists()
    Meeting(tmp_path / "notes", process=2**22 + 1).enter()  # no process has such a number
    (tmp_path / "notes" / "window-0").write_text("5")
    second.enter()
    assert [one.name.split("-")[0] for one in (tmp_path / "notes").iterdir()] == ["here"]


def test_a_command_that_is_none_and_a_folder_that_cannot_be_are_errors(tmp_path):
    command = [sys.executable, "-m", "dpprof", "run", "-o"]
    (tmp_path / "file").touch()
    cases = {
        ("out", "--", "no-such-command"): "no-such-command: cannot be started",
        ("file/out", "--", "true"): "cannot be written to",
        ("out", "--adapters", "nonsense", "--", "true"): "no adapter 'nonsense'",
    }
    for arguments, words in cases.items():
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, arguments
        assert words in done.stderr


def test_what_fails_in_dpprof_is_said_and_the_training_goes_on(tmp_path):
    script = (
        TRAIN
        + """
    from dpprof.instrument.session import Capture
    def broken(*arguments, **named):
        raise RuntimeError("planted")
    Capture.start = broken
    train(6)
    print("trained")
    """
    )
    done = run(tmp_path, script)
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr.count("planted") == 1
    assert "nothing was recorded, for what is said above" in done.stderr


def test_windows_are_recorded_when_a_rule_or_another_shell_says(tmp_path, capsys):
    script = (
        TRAIN
        + """
    import pathlib, time, wandb
    for _ in range(20000):
        train(1)
        time.sleep(0.01)
        logged = pathlib.Path("logged")
        if logged.exists() and logged.read_text().count("step_ms") == 2:
            break
    """
    )
    (tmp_path / "wandb.py").write_text(textwrap.dedent(TRACKER))
    (tmp_path / "train.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-m", "dpprof", "run", "-o", "out", "--when", "step == 4"]
    process = subprocess.Popen(
        [*command, "--log", "log", "--", sys.executable, "train.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    while not said.count("dpprof: step "):
        line = process.stderr.readline()
        assert line, said
        said += line
    assert cli.run(["trigger", str(tmp_path / "out")]) == 0
    said += process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0, said
    folders = sorted(one.name for one in (tmp_path / "out").iterdir())
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(folders) == len(lines) == 2
    assert Path(lines[0]["folder"]).name == "step4"
    assert all(line["step_ns"] > 0 for line in lines)
    assert "False ['dpprof/bubble_share', " in (tmp_path / "logged").read_text()
    assert said.count("dpprof: step ") == 2
    assert cli.run(["trigger", str(tmp_path / "out")]) == 2
    assert "no job of dpprof run writes there now" in capsys.readouterr().err
