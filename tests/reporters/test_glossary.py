"""The glossary has every term that reports use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dpprof.analysis.report.analyze import analyze
from dpprof.reporters.report.sections import report_sections
from dpprof.tables.kinds import KINDS, STATES
from dpprof.trace.load import load_run

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
TERMS = set(re.findall(r"^\| ([^|]+?) \|", GLOSSARY, re.MULTILINE))
# Numbers of a thing, and words that need no explanation.
PLAIN = {
    "",
    "ranks",
    "stages",
    "mean",
    "layer",
    "rows",
    "busiest",
    "if placed",
    "if copied",
    "share",
}


def test_kinds_and_states_are_explained() -> None:
    names = {part for state in STATES for part in state.split(".")}
    assert names | set(KINDS) <= TERMS | {"compute"}


@pytest.mark.parametrize("name", ["dualpipe", "1f1b"])
def test_column_titles_of_a_report_are_explained(name: str) -> None:
    for section in report_sections(analyze(load_run(ROOT / "traces" / name))):
        for title in section.columns:
            words = re.sub("^(of it|exposed|in(?= slot)) ", "", title)
            assert words in TERMS | PLAIN, (section.title, title)


def test_every_term_has_one_sentence() -> None:
    for line in GLOSSARY.splitlines():
        if line.startswith("| ") and not line.startswith(("| term", "|--")):
            _, term, meaning, _ = line.split("|")
            assert re.fullmatch(r" [A-Z0-9].*\. ", meaning), term
