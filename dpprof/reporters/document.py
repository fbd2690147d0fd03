"""A report as formats see it: a title, lines that answer first, tables and lists."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.reporters.content import Section


@dataclass(frozen=True)
class Listing:
    """Lines under a title."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """`answer` is read first, `about` says what it is the answer to; blocks follow."""

    title: str
    about: tuple[str, ...]
    answer: tuple[str, ...]
    blocks: tuple[Section | Listing, ...]
    warnings: tuple[str, ...] = ()
