"""What workflows run is pinned by commit or by hash, and may do no more than it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = sorted((ROOT / ".ci" / "locked").glob("*.txt"))
if not WORKFLOWS:
    pytest.skip("no part of the source distribution", allow_module_level=True)
MAY_SIGN = {"id-token": "write", "attestations": "write"}
FREE_TEXT = re.compile(r"\$\{\{\s*(inputs|github\.(event|head_ref))")
LOCAL = re.compile(r"dist/\*\.whl$")


def jobs(workflow: Path) -> dict[str, Any]:
    """The jobs of a workflow."""
    found: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return found


def steps(workflow: Path) -> list[dict[str, Any]]:
    """The steps of all jobs of a workflow."""
    return [step for job in jobs(workflow).values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_reads_and_only_what_publishes_signs(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    granted = {
        name: job["permissions"] for name, job in jobs(workflow).items() if "permissions" in job
    }
    assert granted in ({}, {"publish": MAY_SIGN})
    out = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout")]
    assert all(step["with"]["persist-credentials"] is False for step in out)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_pip_installs_has_hashes_and_no_text_from_outside_is_run(workflow: Path) -> None:
    lines = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    installs = [line for line in lines if "pip install" in line]
    assert [
        one for one in installs if "--require-hashes" not in one and not LOCAL.search(one)
    ] == []
    assert [line for line in lines if FREE_TEXT.search(line)] == []


def test_inputs_of_the_action_reach_its_script_as_variables() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert not any(FREE_TEXT.search(step["run"]) for step in action["runs"]["steps"])


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_a_version_and_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=[^\s#])", lock.read_text())[1:]
    assert entries
    wrong = [one for one in entries if "==" not in one or "--hash=sha256:" not in one]
    assert wrong == []


def test_the_locked_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    names = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
    locked = dict(names.findall((ROOT / ".ci" / "locked" / "dev.txt").read_text()))
    differ = {one: at for one, at in locked.items() if pinned.get(one.replace(".", "-"), at) != at}
    assert differ == {}
