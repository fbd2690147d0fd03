"""What a report says, as sections of plain cells; the formats only lay it out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dpprof.reporters.blocks.units import UNKNOWN


@dataclass(frozen=True)
class View:
    """What the output can show: colours, characters per line, characters beyond ASCII."""

    color: bool
    width: int
    unicode: bool


_COMMAND = re.compile(r"(?:(?<=\s)|^)(::|##)(?=[\w\[])")


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "?"


def one_line(text: str) -> str:
    """A text with names in it, as one line that is only read.

    Names come from traces and folders, which anyone may have made: line breaks are shown as
    blanks, what else is not printable (escapes, marks that turn the direction of text) as ``?``,
    and what a CI system would take for a command (``::error::``, ``##[error]``) is set apart.
    """
    if not text.isprintable():
        text = "".join(map(_shown, text))
    return _COMMAND.sub(lambda found: " ".join(found[1]), text)


@dataclass(frozen=True)
class Cell:
    """A value, and its share of the whole where it has one; `style` is a terminal's."""

    text: str
    share: str = ""
    style: str = ""

    def __post_init__(self) -> None:
        """Names are shown as `one_line` has them, in every format."""
        object.__setattr__(self, "text", one_line(self.text))


@dataclass(frozen=True)
class Section:
    """A table with its title; the first columns are text, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1

    def __post_init__(self) -> None:
        """As `Cell`."""
        object.__setattr__(self, "title", one_line(self.title))
        object.__setattr__(self, "notes", tuple(map(one_line, self.notes)))


def known_columns(section: Section) -> Section:
    """The section without columns of which nothing is known; without rows if none is left."""
    known = [
        column
        for column in range(len(section.columns))
        if not column or any(row[column].text != UNKNOWN for row in section.rows)
    ]
    rows = tuple(tuple(row[column] for column in known) for row in section.rows)
    titles = tuple(section.columns[column] for column in known)
    return replace(section, columns=titles, rows=rows if len(known) > 1 else ())
