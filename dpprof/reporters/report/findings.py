"""The table of findings in a report."""

from __future__ import annotations

from dpprof.analysis.observations import Finding
from dpprof.reporters.blocks.cells import Cell, Section
from dpprof.reporters.blocks.units import time_unit

_NOTE = "gains are upper bounds, each of one finding alone: they do not add up"
_MORE = "dpprof advise RUN says each in words, with what to change"


def findings_section(
    findings: list[Finding], step_ns: int | None, *, with_words: bool = False
) -> Section:
    """A row per finding; `with_words` where each is also told in words."""
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
        f"Findings ({unit.name} by which a step would be shorter; PP rank)",
        ("finding", "rank", "gain", "confidence"),
        tuple(rows),
        (_NOTE,) if with_words else (_NOTE, _MORE),
        text_columns=2,
    )
