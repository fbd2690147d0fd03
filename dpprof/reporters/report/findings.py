"""The table of findings in a report."""

from __future__ import annotations

from dpprof.analysis.model import Finding
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import time_unit

_NOTE = "gains are upper bounds, each of one finding alone: they do not add up"


def findings_section(findings: list[Finding], step_ns: int | None) -> Section:
    """A row per finding."""
    unit = time_unit(step_ns)
    rows = [
        (
            Cell(one.what),
            Cell(", ".join(map(str, one.ranks)) if one.ranks else "all"),
            Cell(unit.text(one.gain_ns), f"{one.share:.1%}"),
            Cell(one.confidence),
        )
        for one in findings
    ]
    return Section(
        f"Findings ({unit.name} of the step that would be gained; PP rank)",
        ("without", "rank", "gain", "confidence"),
        tuple(rows),
        (_NOTE, "dpprof advise RUN says each in words, with what to change"),
        text_columns=2,
    )
