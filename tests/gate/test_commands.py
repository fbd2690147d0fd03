"""``dpprof gate`` and ``dpprof baseline``: exit codes, files, GitHub, repeats."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dpprof import cli

TRACES = Path(__file__).parents[2] / "traces"
RUN = str(TRACES / "dualpipe")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No configuration and no GitHub but a test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("baselines") / "dualpipe.json"
    assert cli.run(["baseline", "save", RUN, "-o", str(file)]) == 0
    return str(file)


def rules(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--fail-if", text)]


def test_a_kept_limit_is_exit_code_0(capsys) -> None:
    assert cli.run(["gate", RUN, *rules("bubble_share > 50%", "ranks == 4")]) == 0
    assert capsys.readouterr().out.startswith("PASSED dualpipe (EMULATED): 2 limits kept")


def test_a_broken_limit_is_exit_code_1_and_names_the_rank(capsys) -> None:
    assert cli.run(["gate", RUN, *rules("any.bubble_share > 1%")]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAILED dualpipe (EMULATED): 1 of 1 limit broken: any.bubble_share (rank")
    assert "idles most" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no RUN; name a run folder or traces, or let --profile make one"),
        ([RUN], "nothing to check; add --fail-if RULE, --baseline RUN|FILE, or rules to [gate]"),
        ([RUN, *rules("bubbl_share > 1%")], "unknown metric 'bubbl_share'; nearest: bubble_share"),
        ([RUN, *rules("step_ns > +1%")], "compares with a baseline; add --baseline"),
        ([RUN, "--baseline", "none.json"], "none.json"),
        ([RUN, "--baseline", str(TRACES / "1f1b")], "schedule is dualpipe, the baseline has 1f1b"),
        ([str(TRACES), *rules("ranks == 4")], "holds several runs (1f1b, dualpipe); name one"),
        (
            ["--profile", "x {out}", RUN, *rules("ranks == 4")],
            "RUN and --profile: one or the other",
        ),
        (["--profile", "dpprof profile", *rules("ranks == 4")], "where does it write? put {out}"),
        ([RUN, "--baseline-profile", "x {out}"], "--baseline-profile goes with --profile"),
        (
            ["--profile", "a {out}", "--baseline-profile", "b {out}", "--baseline", "c"],
            "--baseline and --baseline-profile: one or the other",
        ),
        (["--profile", "/no/such {out}", *rules("ranks == 4")], "cannot be run"),
        (["--profile", "'{out}", *rules("ranks == 4")], "check its quotes"),
        (
            ["--profile", f"{sys.executable} -c 1/0 {{out}}", *rules("ranks == 4")],
            "ZeroDivisionError",
        ),
        (["--profile", f"{sys.executable} -c 0 {{out}}", *rules("ranks == 4")], "wrote nothing"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], says: str, capsys) -> None:
    assert cli.run(["gate", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_run_against_its_own_baseline_passes(baseline: str, capsys) -> None:
    assert cli.run(["gate", RUN, "--baseline", baseline]) == 0
    assert "no rules given; the default rules were used" in capsys.readouterr().out
    assert cli.run(["gate", RUN, "--baseline", RUN]) == 0
    assert cli.run(["gate", baseline, "--baseline", RUN]) == 0


def test_another_schedule_is_let_through_when_told_so_and_says_it(baseline: str, capsys) -> None:
    other = str(TRACES / "1f1b")
    options = ["--baseline", baseline, "--allow-mismatch", "--format", "json"]
    assert cli.run(["gate", other, *options, *rules("step_ns > +5%")]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["accepted_differences"] == [
        {"field": "schedule", "baseline": "dualpipe", "run": "1f1b"}
    ]
    assert result["rules"][0]["checks"][0]["relative"] > 0.2


def test_reports_go_to_files_by_their_endings(baseline: str, tmp_path: Path, capsys) -> None:
    files = [tmp_path / name for name in ("gate.xml", "gate.json", "gate.md", "gate.html")]
    reports = [word for file in files for word in ("--report", str(file))]
    for force in ((), ("--force",)):
        assert cli.run(["gate", RUN, "--baseline", baseline, *reports, *force]) == 0
    assert capsys.readouterr().out.startswith("PASSED")
    junit, plain, markdown, html = (file.read_text() for file in files)
    assert ElementTree.fromstring(junit).tag == "testsuites"
    assert json.loads(plain)["passed"] is True
    assert markdown.startswith("# PASSED")
    assert html.startswith("<!doctype html>")


def test_github_gets_annotations_and_a_summary(tmp_path: Path, monkeypatch, capsys) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert cli.run(["gate", RUN, *rules("bubble_share > 1%"), "--format", "json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["passed"] is False
    assert said.err.startswith("::error title=dpprof gate::FAILED dualpipe")
    assert summary.read_text().startswith("before\n# FAILED dualpipe")


def test_a_summary_that_cannot_be_written_does_not_hide_the_verdict(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert cli.run(["gate", RUN, *rules("bubble_share > 1%")]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("FAILED")
    assert f"warning: {tmp_path}: cannot be written" in said.err
    assert cli.run(["gate", RUN, *rules("bubble_share > 50%")]) == 0


def test_rules_and_baseline_come_from_the_configuration(baseline: str, tmp_path, capsys) -> None:
    (tmp_path / "dpprof.toml").write_text(
        f"[gate]\nfail_if = ['ranks == 8', 'step_ns > +1%']\nbaseline = '{baseline}'\n"
    )
    assert cli.run(["gate", RUN]) == 1
    assert "ranks is 4, required 8" in capsys.readouterr().out
    assert cli.run(["gate", RUN, *rules("ranks == 4")]) == 0  # an option beats the file
    (tmp_path / "dpprof.toml").write_text("[gate]\nfail_if = ['ranks = 8']\n")
    assert cli.run(["gate", RUN]) == 2
    assert "dpprof.toml: gate.fail_if: rule, column 7: no comparison '='" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trace", "broken", "code"),
    [("deepseek_train.json.gz", "wait_ns", 2), ("nanogpt_8_h100", "hidden_share", 1)],
)
def test_runs_of_others_are_gated_too(trace: str, broken: str, code: int, capsys) -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / trace
    if not path.exists():
        pytest.skip(f"{trace} is not at hand")
    kept = rules("any.bubble_share > 40%", "step_ns > 1s")
    assert cli.run(["gate", str(path), *kept]) == 0
    capsys.readouterr()
    limits = rules("wait_ns > 1s", "hidden_share < 90%")
    assert cli.run(["gate", str(path), *limits, "--format", "json"]) == code
    result = json.loads(capsys.readouterr().out)
    assert [rule["metric"] for rule in result["rules"] if rule["status"] != "passed"] == [broken]


COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2] + '/' + sys.argv[3])"


def copying(run: str) -> str:
    """A command that 'profiles' by copying a run."""
    source = str(TRACES / run)
    return shlex.join([sys.executable, "-c", COPY, source, "OUT", run]).replace("OUT", "{out}")


def test_profiling_alternates_between_the_sides(tmp_path: Path, capsys) -> None:
    options = ["--profile", copying("dualpipe"), "--baseline-profile", copying("dualpipe")]
    keep = tmp_path / "kept"
    options += ["--repeat", "2", "--keep", str(keep)]
    assert cli.run(["gate", *options, "--format", "json"]) == 0
    said = capsys.readouterr()
    order = [line.partition(":")[0] for line in said.err.splitlines() if "copytree" in line]
    assert order == ["baseline-1", "run-1", "baseline-2", "run-2"]
    result = json.loads(said.out)
    assert (result["runs"], result["steps"]) == (["dualpipe"] * 2, [2, 2])
    assert result["baseline_steps"] == [2, 2]
    assert sorted(path.name for path in keep.iterdir()) == sorted(order)
    assert cli.run(["gate", *options]) == 2
    assert "exists already; name a new folder with --keep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signal", "code", "says"), [("SIGINT", 130, "interrupted"), ("SIGKILL", 2, "exit code -9")]
)
def test_an_interrupted_profile_is_no_failure(signal: str, code: int, says: str, capsys) -> None:
    script = f"import os, signal; os.kill(os.getpid(), signal.{signal})"
    command = shlex.join([sys.executable, "-c", script]) + " {out}"
    assert cli.run(["gate", "--profile", command, *rules("ranks == 4")]) == code
    assert says in capsys.readouterr().err


def test_what_was_profiled_is_gone_without_keep(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.run(["gate", "--profile", copying("1f1b"), *rules("schedule == 1f1b")]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_baseline_is_saved_once(baseline: str, capsys) -> None:
    before = Path(baseline).read_text()
    assert cli.run(["baseline", "save", RUN, "-o", baseline]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.run(["baseline", "save", RUN, "-o", baseline, "--force"]) == 0
    assert Path(baseline).read_text() == before


def table_of(text: str) -> list[str]:
    return sorted(line for line in text.partition("Figures of the job")[2].splitlines())


def test_a_baseline_and_a_run_are_shown_alike(baseline: str, capsys) -> None:
    assert cli.run(["baseline", "show", baseline]) == 0
    shown = capsys.readouterr().out
    assert cli.run(["baseline", "show", RUN]) == 0
    of_run = capsys.readouterr().out
    assert "dualpipe, PP 4, 8 micro-batches, 4 ranks, cpu," in " ".join(shown.split())
    assert table_of(shown) == table_of(of_run)
    assert "bubble_share" in shown
    assert cli.run(["baseline", "show", baseline, "--format", "json"]) == 0
    assert capsys.readouterr().out == Path(baseline).read_text()


def test_baselines_are_listed_with_what_they_are_of(baseline: str, tmp_path, capsys) -> None:
    shutil.copy(baseline, tmp_path / "mine.json")
    (tmp_path / "other.json").write_text("{}")
    assert cli.run(["baseline", "list", str(tmp_path)]) == 0
    assert "mine.json" in capsys.readouterr().out
    assert cli.run(["baseline", "list", str(tmp_path), "--format", "json"]) == 0
    form = json.loads(capsys.readouterr().out)
    assert list(form["baselines"]) == ["mine.json"]
    assert cli.run(["baseline", "list", "none"]) == 2
