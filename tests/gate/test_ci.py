"""The GitHub action and the GitLab template: their scripts run as a runner would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML, which pre-commit brings, is not installed")

ROOT = Path(__file__).parents[2]
RUN = str(ROOT / "traces" / "dualpipe")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "templates" / "dpprof-gate.gitlab-ci.yml").read_text())


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script with nothing but these variables, and this Python as ``python``."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    python = binaries / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def run_action(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The gate step of the action with these inputs; its result and what it put out."""
    (step,) = [one for one in ACTION["runs"]["steps"] if one.get("id") == "gate"]
    given = {name: one["default"] for name, one in ACTION["inputs"].items()} | inputs
    variables = {}
    for name, expression in step["env"].items():
        assert expression.startswith("${{ inputs."), expression
        variables[name] = given[expression.removeprefix("${{ inputs.").removesuffix(" }}")]
    output = folder / "output"
    output.write_text("")
    done = shell(
        step["run"],
        folder,
        **variables,
        GITHUB_ACTIONS="true",
        GITHUB_OUTPUT=str(output),
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
    )
    return done, output.read_text()


def test_the_action_passes_with_reports_and_a_summary(tmp_path: Path) -> None:
    rules = "bubble_share > 50%\n\n  ranks == 4\n"
    done, output = run_action(tmp_path, run=RUN, baseline=RUN, **{"fail-if": rules})
    assert (done.returncode, output) == (0, "passed=true\n"), done.stderr
    assert "2 limits kept" in done.stdout
    assert "::notice title=dpprof gate::PASSED" in done.stderr
    assert sorted(path.name for path in (tmp_path / "dpprof-gate").iterdir()) == [
        "gate.json",
        "gate.md",
        "gate.xml",
    ]
    assert (tmp_path / "summary.md").read_text().startswith("# PASSED")


def test_the_action_fails_where_a_limit_is_broken(tmp_path: Path) -> None:
    done, output = run_action(tmp_path, run=RUN, **{"fail-if": "bubble_share > 1%"})
    assert (done.returncode, output) == (1, "passed=false\n")
    assert "::error title=dpprof gate::FAILED" in done.stderr


def test_wrong_rules_are_neither_passed_nor_failed(tmp_path: Path) -> None:
    done, output = run_action(tmp_path, run=RUN, **{"fail-if": "bubbl > 1%"})
    assert (done.returncode, output) == (2, "")


def test_what_is_given_to_the_action_is_never_run_by_its_shell(tmp_path: Path) -> None:
    evil = "ranks == 4; $(touch evil) `touch evil`"
    done, _ = run_action(tmp_path, run=RUN, **{"fail-if": evil})
    assert done.returncode == 2
    assert not (tmp_path / "evil").exists()
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_every_input_of_the_action_is_used_and_described() -> None:
    text = (ROOT / "action.yml").read_text()
    for name, one in ACTION["inputs"].items():
        assert one["description"]
        assert f"inputs.{name}" in text
    assert ACTION["runs"]["using"] == "composite"


def test_the_gitlab_job_leaves_a_junit_report(tmp_path: Path) -> None:
    job = GITLAB[".dpprof-gate"]
    script = "\n".join(line for line in job["script"] if "pip install" not in line)
    variables = job["variables"] | {
        "GATE_RUN": RUN,
        "DPPROF_GATE_FAIL_IF": "bubble_share > 1%; ranks == 4",
    }
    done = shell(script, tmp_path, **variables)
    assert done.returncode == 1, done.stderr
    report = tmp_path / job["artifacts"]["reports"]["junit"]
    (suite,) = ElementTree.parse(report).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
