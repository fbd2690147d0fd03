"""Findings for people and for programs: largest gain first."""

from __future__ import annotations

import msgspec

from dpprof.analysis.model import Report
from dpprof.analysis.observations import Finding
from dpprof.findings.find import Findings
from dpprof.reporters.blocks.document import Document, Listing
from dpprof.reporters.report.findings import findings_section
from dpprof.reporters.report.sentences import source_words
from dpprof.runs.manifest import Source

SCHEMA_VERSION = 1


class FindingsJson(msgspec.Struct, frozen=True, kw_only=True):
    """What ``advise --format json`` writes; see `dpprof.findings.find.Findings`."""

    schema_version: int = SCHEMA_VERSION
    name: str
    source: Source
    step_ns: int | None
    findings: list[Finding]
    reason: str


def findings_json(report: Report, found: Findings) -> str:
    """The JSON form; see `FindingsJson`."""
    form = FindingsJson(
        name=report.name,
        source=report.source,
        step_ns=found.step_ns,
        findings=found.findings,
        reason=found.reason,
    )
    return msgspec.json.encode(form).decode()


def findings_document(report: Report, found: Findings) -> Document:
    """A table of gains, then each finding in words with what to change."""
    about = () if report.source == "captured" else (source_words(report),)
    if not found.findings:
        why = found.reason or "nothing gains half a per cent of the step"
        return Document(f"{report.name}: no findings", about, (why,), ())
    best = found.findings[0]
    words = [f"{one.text}; look at: {one.knob}" for one in found.findings]
    return Document(
        title=f"{report.name}: {len(found.findings)} finding{'s' * (len(found.findings) != 1)}",
        about=about,
        answer=(f"largest gain: {best.what}{_where(best)}, {best.share:.1%} of the step",),
        blocks=(
            findings_section(found.findings, found.step_ns, with_words=True),
            Listing("In words", tuple(words)),
        ),
    )


def _where(finding: Finding) -> str:
    return f" of rank {', '.join(map(str, finding.ranks))}" if len(finding.ranks) == 1 else ""
