"""A document as one static HTML page: no scripts, nothing loaded, light and dark."""

from __future__ import annotations

from html import escape

from dpprof.reporters.blocks.cells import Section
from dpprof.reporters.blocks.document import Document
from dpprof.reporters.formats.notebook import list_html, section_html

_STYLE = """
:root { color-scheme: light dark; --line: #c9ccd1; --dim: #5c6370; }
@media (prefers-color-scheme: dark) { :root { --line: #444b57; --dim: #a0a7b4; } }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0.2rem; }
.about { color: var(--dim); }
.answer { font-size: 1.1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--dim); font-weight: 600; }
.evidence { border-left: 4px solid #b91c1c; padding-left: 1rem; }
.warnings { border-left: 4px solid #b45309; padding-left: 1rem; }
""".strip()


def document_page(document: Document) -> str:
    """The whole page."""
    first, *more = document.answer or ("",)
    about = "".join(f"<div>{escape(line)}</div>" for line in document.about)
    blocks = "".join(
        section_html(block) if isinstance(block, Section) else list_html(block.title, block.lines)
        for block in document.blocks
    )
    evidence = list_html("What the evidence does not carry", document.evidence)
    warnings = list_html("Warnings", document.warnings)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{escape(document.title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(document.title)}</h1><div class="about">{about}</div>'
        f'{f"""<div class="evidence">{evidence}</div>""" if evidence else ""}'
        f'{f"""<p class="answer"><b>{escape(first)}</b></p>""" if first else ""}'
        f"{list_html('', more) if more else ''}{blocks}"
        f'{f"""<div class="warnings">{warnings}</div>""" if warnings else ""}</body></html>\n'
    )
