"""Findings for people and for programs: largest gain first."""

from __future__ import annotations

import msgspec

from dpprof.analysis.model import Finding
from dpprof.findings.find import Findings
from dpprof.reporters.blocks.document import Document, Listing
from dpprof.reporters.report.findings import findings_section

SCHEMA_VERSION = 1


class FindingsJson(msgspec.Struct, frozen=True, kw_only=True):
    """What ``advise --format json`` writes; see `dpprof.findings.find.Findings`."""

    schema_version: int = SCHEMA_VERSION
    name: str
    step_ns: int | None
    findings: list[Finding]
    reason: str


def findings_json(name: str, found: Findings) -> str:
    """The JSON form; see `FindingsJson`."""
    form = FindingsJson(
        name=name, step_ns=found.step_ns, findings=found.findings, reason=found.reason
    )
    return msgspec.json.encode(form).decode()


def findings_document(name: str, found: Findings) -> Document:
    """A table of gains, then each finding in words with what to change."""
    if not found.findings:
        why = found.reason or "nothing gains half a per cent of the step"
        return Document(f"{name}: no findings", (), (why,), ())
    best = found.findings[0]
    words = [f"{one.text}; look at: {one.knob}" for one in found.findings]
    return Document(
        title=f"{name}: {len(found.findings)} findings",
        about=(),
        answer=(f"the most is in {best.what}{_where(best)}: {best.share:.1%} of the step",),
        blocks=(findings_section(found.findings, found.step_ns), Listing("In words", tuple(words))),
    )


def _where(finding: Finding) -> str:
    return f" of rank {', '.join(map(str, finding.ranks))}" if len(finding.ranks) == 1 else ""
