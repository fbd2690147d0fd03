"""A report, several side by side, and kinds explained as documents: what any format writes."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.analysis.model import KindReport, Report
from dpprof.analysis.report.side_by_side import Comparison
from dpprof.evidence.evidence import others, texts
from dpprof.reporters.blocks.cells import Section
from dpprof.reporters.blocks.document import Document, Listing
from dpprof.reporters.report.comparison import comparison_sections, run_names
from dpprof.reporters.report.kinds import kind_sections, kind_warnings
from dpprof.reporters.report.longest_bubbles import longest_regions
from dpprof.reporters.report.rank_sections import unit_of
from dpprof.reporters.report.sections import report_sections
from dpprof.reporters.report.sentences import run_words, source_words, step_words


def report_document(report: Report) -> Document:
    """Headline, tables, longest bubbles, warnings."""
    return Document(
        title=report.name,
        about=(run_words(report), source_words(report), step_words(report, unit_of(report))),
        answer=(),
        blocks=tuple(_blocks(report)),
        warnings=tuple(others(report.warnings, report.evidence)),
        evidence=tuple(texts(report.evidence)),
    )


def _blocks(report: Report) -> Iterator[Section | Listing]:
    yield from report_sections(report)
    if regions := longest_regions(report):
        yield Listing("Longest bubbles", tuple(regions))


def comparison_document(comparison: Comparison) -> Document:
    """A line per run, then tables of values with their ratios."""
    names = run_names(comparison)
    runs = list(zip(names, comparison.reports, strict=True))
    lines = [
        f"{name}: {run_words(report)}; {source_words(report)}; "
        f"{step_words(report, unit_of(report))}"
        for name, report in runs
    ]
    return Document(
        title="Comparison",
        about=(*lines, f"ratios are to {names[comparison.baseline]}"),
        answer=(),
        blocks=tuple(comparison_sections(comparison)),
        warnings=tuple(
            f"{name}: {warning}"
            for name, report in runs
            for warning in others(report.warnings, report.evidence)
        ),
        evidence=tuple(
            f"{name}: {text}" for name, report in runs for text in texts(report.evidence)
        ),
    )


def kinds_document(report: KindReport, width: int) -> Document:
    """Rules, the names they matched and the others; names are cut to `width` characters."""
    return Document(
        title=f"Kinds of {report.name}",
        about=(),
        answer=(),
        blocks=tuple(kind_sections(report, width)),
        warnings=tuple(kind_warnings(report)),
    )
