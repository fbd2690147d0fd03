"""A report as formats see it: a title, lines that answer first, tables and lists."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.reporters.blocks.cells import Section, one_line


@dataclass(frozen=True)
class Listing:
    """Lines under a title."""

    title: str
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        """Names are shown as `one_line` has them."""
        object.__setattr__(self, "title", one_line(self.title))
        object.__setattr__(self, "lines", tuple(map(one_line, self.lines)))


@dataclass(frozen=True)
class Document:
    """`answer` is read first, `about` says what it is the answer to; blocks follow.

    `evidence` is what the answer lacks: it comes before the answer.
    """

    title: str
    about: tuple[str, ...]
    answer: tuple[str, ...]
    blocks: tuple[Section | Listing, ...]
    warnings: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    style: str = ""  # of the title at a terminal

    def __post_init__(self) -> None:
        """As `Listing`."""
        object.__setattr__(self, "title", one_line(self.title))
        for name in ("about", "evidence", "answer", "warnings"):
            object.__setattr__(self, name, tuple(map(one_line, getattr(self, name))))
