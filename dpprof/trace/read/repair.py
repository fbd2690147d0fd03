"""Makes unsound JSON sound where that loses nothing but the unsound bytes, keeping its length."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dpprof.trace.read.json_structure import Positions, find_quotes, in_strings

_NO_NUMBER = re.compile(rb"-?\b(?:NaN|nan|Infinity|infinity|Inf|inf)\b")
_TRAILING_COMMA = re.compile(rb",(?=[ \t\r\n]*[\]}])")
_ODD = rb"(?<!\\)(?:\\\\)*"  # backslashes before that make the next one an escape
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_BAD_ESCAPES = (
    re.compile(_ODD + rb'(\\)(?!["\\/bfnrt]|u[0-9a-fA-F]{4})'),
    re.compile(_ODD + rb"(?=" + _HIGH + rb"(?!" + _LOW + rb"))(\\)"),
    re.compile(_ODD + rb"(?<!" + _HIGH + rb")(?=" + _LOW + rb")(\\)"),
)
_LONGEST_ESCAPE = 12
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Fault:
    """What was unsound, where first, and how often."""

    what: str
    byte: int
    count: int


def repair(piece: bytearray, is_last: bool) -> list[Fault]:
    """Repair `piece` in place and say what was found; it starts outside strings.

    NaN and infinities become texts (so that a number is missing there), bad UTF-8 and bad escapes
    "?", control characters in strings spaces, and commas before a closing bracket go. With
    `is_last`, nothing follows the piece.
    """
    faults = [
        *_replace("bytes that are not UTF-8", _bad_utf8(piece, is_last), piece, b"?"),
    ]
    quotes = find_quotes(piece)
    faults += _replace("control characters in a string", _controls(piece, quotes), piece, b" ")
    escapes = np.unique(np.concatenate([_matches(one, piece, 1) for one in _BAD_ESCAPES]))
    reach = len(piece) if is_last else len(piece) - _LONGEST_ESCAPE
    bad = escapes[in_strings(quotes, escapes) & (escapes < reach)]
    faults += _replace("unknown escapes", bad, piece, b"?")
    commas = _matches(_TRAILING_COMMA, piece, 0)
    faults += _replace(
        "commas before a closing bracket", commas[~in_strings(quotes, commas)], piece, b" "
    )
    return faults + _replace_no_numbers(piece, quotes)


def _replace(what: str, positions: Positions, piece: bytearray, by: bytes) -> list[Fault]:
    if not len(positions):
        return []
    np.frombuffer(piece, dtype=np.uint8)[positions] = by[0]
    return [Fault(what, int(positions[0]), len(positions))]


def _replace_no_numbers(piece: bytearray, quotes: Positions) -> list[Fault]:
    found = _matches(_NO_NUMBER, piece, 0)
    found = found[~in_strings(quotes, found)]
    for start in found.tolist():
        match = _NO_NUMBER.match(piece, start)
        assert match is not None
        piece[start : match.end()] = b'""'.ljust(match.end() - start)
    return [Fault("NaN or Infinity", int(found[0]), len(found))] if len(found) else []


def _matches(pattern: re.Pattern[bytes], piece: bytearray, group: int) -> Positions:
    starts = (match.start(group) for match in pattern.finditer(piece))
    return np.fromiter(starts, dtype=np.int64)


def _controls(piece: bytearray, quotes: Positions) -> Positions:
    found = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) < 0x20)
    return found[in_strings(quotes, found)]


def _bad_utf8(piece: bytearray, is_last: bool) -> Positions:
    return np.fromiter(_bad_bytes(bytes(piece), is_last), dtype=np.int64)


def _bad_bytes(data: bytes, is_last: bool) -> Iterator[int]:
    position = 0
    with memoryview(data) as view:
        while position < len(data):
            end = min(position + _CHUNK_BYTES, len(data))
            try:
                done = codecs.utf_8_decode(
                    view[position:end], "strict", is_last and end == len(data)
                )
            except UnicodeDecodeError as error:
                yield from range(position + error.start, position + error.end)
                position += error.end
            else:
                if not done[1]:
                    return
                position += done[1]
