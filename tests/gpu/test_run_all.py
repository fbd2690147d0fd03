"""The fifteen minutes on a card: no part costs another its time, and what is done is kept."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_all.py")


@pytest.fixture(scope="module")
def run_all():
    spec = importlib.util.spec_from_file_location("run_all", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_all"] = module
    spec.loader.exec_module(module)
    module.kill_children = lambda: None  # the test's own are of no part
    yield module
    del sys.modules["run_all"]


@pytest.fixture
def folders(tmp_path):
    made = {name: tmp_path / name for name in ("out", "raw")}
    for folder in made.values():
        folder.mkdir()
    return made


def gone(pid):
    """Whether a process has ended (a zombie that nobody waits for has)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("ends", [False, True])
def test_no_part_leaves_a_process_on_the_card(run_all, folders, ends):
    """Neither one that takes too long, nor one whose children go on."""
    script = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '600']);"
        f"open({str(folders['out'] / 'child')!r}, 'w').write(str(child.pid));"
        f"time.sleep({0 if ends else 600})"
    )
    part = run_all.Part("hangs", 2, ("-c", script))
    result = run_all.run_part(part, 2, folders)
    assert result["code"] == (0 if ends else run_all.TIMED_OUT)
    assert gone(int((folders["out"] / "child").read_text()))


def test_what_one_part_fails_at_keeps_no_other_from_running(run_all, folders):
    write = "import pathlib; pathlib.Path({path!r}).write_text('[]')"
    parts = [
        run_all.Part("dies", 20, ("-c", "import os; os.kill(os.getpid(), 11)")),
        run_all.Part("hangs", 1, ("-c", "import time; time.sleep(600)")),
        run_all.Part("works", 5, ("-c", write.format(path=str(folders["out"] / "works.json")))),
        run_all.Part("late", 300, ("-c", "pass")),
    ]
    begun = time.monotonic()
    summary = run_all.run_parts(parts, run_all.TO_PACK + run_all.LEAST + 0.5, folders)
    assert time.monotonic() - begun < 15
    assert [one if isinstance(one, str) else one["code"] for one in summary.values()] == [
        -11,
        run_all.TIMED_OUT,
        0,
        "no time",
    ]
    assert json.loads((folders["out"] / "summary.json").read_text()) == summary


def test_no_more_comes_back_than_may(run_all, folders):
    raw, out = folders["raw"], folders["out"]
    for name in ("dualpipev", "1f1b"):
        (raw / "pair" / name).mkdir(parents=True)
        (raw / "pair" / name / "rank0.json.gz").write_bytes(b"trace")
    (raw / "noise").write_bytes(os.urandom(run_all.MOST_BYTES + 2**20))
    for number in range(6):
        (out / f"{number}.json").write_text("{}")
    left_out = run_all.pack(folders)
    kept = sorted(file.name for file in out.iterdir())
    assert len(kept) == run_all.MOST_FILES
    assert {"1f1b.rank0.json.gz", "dualpipev.rank0.json.gz"} < set(kept)
    assert len(left_out) == 1
    assert left_out[0].startswith("rest.tar.gz (17")
    assert all(file.stat().st_size <= run_all.MOST_BYTES for file in out.iterdir())


def test_a_child_in_another_session_is_killed_too(tmp_path):
    """By the script itself, which adopts what its parts leave behind."""
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import run_all, pathlib;"
        f"raw = pathlib.Path({str(tmp_path)!r}); run_all.adopt_orphans();"
        'spawn = \'import subprocess, pathlib; child = subprocess.Popen(["sleep", "600"],\''
        "' start_new_session=True); pathlib.Path(\"child\").write_text(str(child.pid))';"
        "run_all.ROOT = raw;"
        "run_all.run_part(run_all.Part('leaves', 5, ('-c', spawn)), 5, {'out': raw, 'raw': raw})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_part_that_fails_is_tried_with_less(run_all, folders):
    code = "import sys; sys.exit('--layers' not in sys.argv)"
    part = run_all.Part("pair", 20, ("-c", code), run_all.FEWER)
    result = run_all.run_or_less(part, 20, folders)
    assert (result["code"], result["before"]["code"], result["with"]) == (0, 1, "--layers 4")
    nothing_less = run_all.Part("model", 20, ("-c", code))
    assert run_all.run_or_less(nothing_less, 20, folders)["code"] == 1


def test_what_nccl_needs_reaches_the_parts_after_the_probe(run_all, folders):
    out = folders["out"]
    assert "NCCL_CUMEM_ENABLE" not in run_all._environment(out)
    (out / "probe.json").write_text('{"environment": {"NCCL_CUMEM_ENABLE": "0"}}')
    assert run_all._environment(out)["NCCL_CUMEM_ENABLE"] == "0"


def test_a_trace_that_is_too_large_loses_what_no_figure_needs(run_all, tmp_path, monkeypatch):
    trace = tmp_path / "rank0.json.gz"
    events = [{"name": "cudaEventQuery", "noise": os.urandom(9).hex()} for _ in range(2000)]
    events += [{"name": "nvjet", "cat": "kernel"}, {"name": "aten::mm", "cat": "cpu_op"}]
    trace.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode()))
    run_all.shrink(trace)
    assert len(json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]) == 2002
    monkeypatch.setattr(run_all, "MOST_BYTES", 2000)
    run_all.shrink(trace)
    left = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert [event["name"] for event in left] == ["nvjet", "aten::mm"]


def test_the_parts_fit_the_minutes_and_their_files(run_all):
    """The whole, with the machine's start and a second call; the headline in the first."""
    scripts = [part.command[0] for part in run_all.PARTS if part.command[0].endswith(".py")]
    assert all((run_all.ROOT / script).exists() for script in scripts)
    files = [text for part in run_all.PARTS for text in part.command if text.startswith("{out}")]
    assert len(files) + len(("summary.json", "rest.tar.gz", "pair", "1f1b")) <= run_all.MOST_FILES
    assert [part.name for part in run_all.PARTS[:2]] == ["probe", "wire"]
    start = 105
    whole = sum(part.seconds for part in run_all.PARTS)
    assert start + whole + 2 * run_all.TO_PACK <= 15 * 60
    assert sum(part.seconds for part in run_all.PARTS[:6]) <= 540 - run_all.TO_PACK
