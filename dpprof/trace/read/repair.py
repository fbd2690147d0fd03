"""Makes unsound JSON sound where that loses nothing but the unsound bytes, keeping its length."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from dpprof.trace.read.columns import CATEGORIES, DEVICE_CATEGORIES
from dpprof.trace.read.engines import ParserPosition
from dpprof.trace.read.json_structure import Positions, find_quotes, in_strings

_NO_NUMBER = re.compile(rb"-?\b(?:NaN|nan|Infinity|infinity|Inf|inf)\b")
_IN_NO_NUMBERS = (b"NaN", b"nan", b"Inf", b"inf")
_TRAILING_COMMA = re.compile(rb",(?=[ \t\r\n]*[\]}])")
_ODD = rb"(?<!\\)(?:\\\\)*"  # backslashes before that make the next one an escape
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_BAD_ESCAPES = (
    re.compile(_ODD + rb'(\\)(?!["\\/bfnrt]|u[0-9a-fA-F]{4})'),
    re.compile(_ODD + rb"(?=" + _HIGH + rb"(?!" + _LOW + rb"))(\\)"),
    re.compile(_ODD + rb"(?<!" + _HIGH + rb")(?=" + _LOW + rb")(\\)"),
)
_LONGEST_ESCAPE = 12
_BETWEEN_EVENTS = re.compile(
    rb'\}[ \t\r\n]*(,)[ \t\r\n]*\{[ \t\r\n]*"(?:ph|name|cat|args|pid|tid|ts|dur|id|s)"'
)
_AFTER_EVENTS = re.compile(rb"\}[ \t\r\n]*(\])")
_FIRST_EVENT, _NEXT_EVENT = (
    re.compile(rb"[ \t\r\n]*(?=\{)"),
    re.compile(rb"[ \t\r\n]*,(?=[ \t\r\n]*\{)"),
)
_MOST_JOINED = 4
_RAW = msgspec.json.Decoder(msgspec.Raw)
_CHUNK_BYTES = 1 << 20
_LONGEST_SEQUENCE = 4
_SECOND_BYTES = ((0xE0, 0xA0, 0xBF), (0xED, 0x80, 0x9F), (0xF0, 0x90, 0xBF), (0xF4, 0x80, 0x8F))
"""What may follow these first bytes of UTF-8: neither longer forms, surrogates nor beyond."""


@dataclass(frozen=True)
class JsonFault:
    """What was unsound, where first, and how often."""

    what: str
    byte: int
    count: int


def repair(piece: bytearray, is_last: bool) -> list[JsonFault]:
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
    escapes = _bad_escapes(piece)
    reach = len(piece) if is_last else len(piece) - _LONGEST_ESCAPE
    bad = escapes[in_strings(quotes, escapes) & (escapes < reach)]
    faults += _replace("unknown escapes", bad, piece, b"?")
    commas = _matches(_TRAILING_COMMA, piece, 0)
    faults += _replace(
        "commas before a closing bracket", commas[~in_strings(quotes, commas)], piece, b" "
    )
    return faults + _replace_no_numbers(piece, quotes)


Repair = Callable[[bytearray, bool], list[JsonFault]]
"""Makes a piece sounder in place and says what was found; with True, nothing follows the piece."""


def repairs_for(
    piece: bytearray, place: ParserPosition, is_unsound: bool, is_last: bool
) -> list[Repair]:
    """What to try, in order, where `piece` could not be scanned to its end.

    `is_unsound` says that a mistake ended the scan, `is_last` that nothing follows. Where quotes
    within names turn what is inside and outside of strings around, events are looked at one by
    one.
    """
    if place not in (ParserPosition.FIRST_EVENT, ParserPosition.AFTER_EVENT):
        return [repair] if is_unsound and place != ParserPosition.END else []
    quotes, begins = find_quotes(piece), _matches(_BETWEEN_EVENTS, piece, 1)
    is_open = is_last and len(quotes) % 2 == 1
    if not is_open and not in_strings(quotes, begins).any():
        return [repair, partial(drop_bad_events, is_first=place == ParserPosition.FIRST_EVENT)]
    return [partial(drop_bad_events, is_first=place == ParserPosition.FIRST_EVENT)]


def drop_bad_events(piece: bytearray, is_last: bool, *, is_first: bool) -> list[JsonFault]:
    """Repair events that are no JSON, else replace them by spaces: others then can be read.

    `piece` starts before the first event of the list (`is_first`), or behind another. An event
    ends where a brace, a comma and the first key of another follow one another; what is behind
    the last such place is left as it is, but for the list's last event.
    """
    begin = (_FIRST_EVENT if is_first else _NEXT_EVENT).match(piece)
    if begin is None:
        return []
    starts = [begin.end() - 1, *(match.start(1) for match in _BETWEEN_EVENTS.finditer(piece))]
    if is_last and (end := _AFTER_EVENTS.search(piece, starts[-1])):
        starts.append(end.start(1))
    faults: list[JsonFault] = []
    here = 0
    while here < len(starts) - 1:
        count = _events_in(piece, starts[here : here + _MOST_JOINED + 1])
        if not count:
            found = _mended(piece, starts[here] + 1, starts[here + 1])
            faults += found
            count = 1
            if found[0].what in (_DROPPED, DROPPED_WORK):
                # The comma before it goes too, or, before the list's first event, that behind it.
                comma = starts[here + is_first]
                piece[comma] = ord(" ") if piece[comma] == ord(",") else piece[comma]
                here += 1
                continue
        is_first = False
        here += count
    return _summed(faults)


_DROPPED = "events that are not valid JSON"
DROPPED_WORK = "device activities that are not valid JSON"
"""What `JsonFault` calls those of the lost events that tell of a device."""
_WORK = re.compile(
    rb'"cat"\s*:\s*"(?:%s)"'
    % b"|".join(text.encode() for text, code in CATEGORIES.items() if code in DEVICE_CATEGORIES)
)


def _mended(piece: bytearray, begin: int, end: int) -> list[JsonFault]:
    """Repair one event, or blank it out."""
    event = piece[begin:end]
    faults = repair(event, True)
    if _is_sound(event):
        piece[begin:end] = event
        return [JsonFault(one.what, begin + one.byte, one.count) for one in faults]
    what = DROPPED_WORK if _WORK.search(event) else _DROPPED
    piece[begin:end] = b" " * (end - begin)
    return [JsonFault(what, begin, 1)]


def _summed(faults: list[JsonFault]) -> list[JsonFault]:
    first: dict[str, JsonFault] = {}
    for one in faults:
        known = first.get(one.what, JsonFault(one.what, one.byte, 0))
        first[one.what] = JsonFault(one.what, known.byte, known.count + one.count)
    return list(first.values())


def _events_in(piece: bytearray, starts: list[int]) -> int:
    """How many of the stretches between `starts` make one sound event; 0 where none do."""
    for count in range(1, len(starts)):
        if _is_sound(piece[starts[0] + 1 : starts[count]]):
            return count
    return 0


def _is_sound(event: bytearray) -> bool:
    try:
        _RAW.decode(event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    except RecursionError:
        return True  # nested too deeply, which is for others to say
    return True


def _replace(what: str, positions: Positions, piece: bytearray, by: bytes) -> list[JsonFault]:
    if not len(positions):
        return []
    np.frombuffer(piece, dtype=np.uint8)[positions] = by[0]
    return [JsonFault(what, int(positions[0]), len(positions))]


def _bad_escapes(piece: bytearray) -> Positions:
    patterns = _BAD_ESCAPES if b"\\" in piece else ()  # looking for none of them takes long
    found = [_matches(one, piece, 1) for one in patterns]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))


def _replace_no_numbers(piece: bytearray, quotes: Positions) -> list[JsonFault]:
    if not any(word in piece for word in _IN_NO_NUMBERS):
        return []
    found = _matches(_NO_NUMBER, piece, 0)
    found = found[~in_strings(quotes, found)]
    for start in found.tolist():
        match = _NO_NUMBER.match(piece, start)
        assert match is not None
        piece[start : match.end()] = b'""'.ljust(match.end() - start)
    return [JsonFault("NaN or Infinity", int(found[0]), len(found))] if len(found) else []


def _matches(pattern: re.Pattern[bytes], piece: bytearray, group: int) -> Positions:
    starts = (match.start(group) for match in pattern.finditer(piece))
    return np.fromiter(starts, dtype=np.int64)


def _controls(piece: bytearray, quotes: Positions) -> Positions:
    found = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) < 0x20)
    return found[in_strings(quotes, found)]


def _bad_utf8(piece: bytearray, is_last: bool) -> Positions:
    """Positions of the bytes that are not UTF-8, at a cost that does not depend on how many are.

    Whatever is no part of a sound sequence is none: those are found wherever they begin, as no
    other byte looks like their first. Without `is_last`, a sequence that is open at the end is
    left to who sees its rest.
    """
    if piece.isascii():
        return np.zeros(0, dtype=np.int64)
    data = np.frombuffer(piece, dtype=np.uint8)
    size = len(data) - (0 if is_last else _open_bytes(piece))
    found = []
    for begin in range(0, size, _CHUNK_BYTES):
        before = min(begin, _LONGEST_SEQUENCE - 1)
        end = min(begin + _CHUNK_BYTES, size)
        sound = _in_sequences(data[begin - before : end + _LONGEST_SEQUENCE - 1])
        found.append(begin + np.flatnonzero(~sound[before : before + end - begin]))
    return np.concatenate(found or [np.zeros(0, dtype=np.int64)])


def _in_sequences(data: np.ndarray) -> np.ndarray:
    """Whether each byte is part of a sound sequence of UTF-8 that lies in `data` as a whole."""
    sound = data < 0x80
    for size, least, most in ((2, 0xC2, 0xDF), (3, 0xE0, 0xEF), (4, 0xF0, 0xF4)):
        leads = np.flatnonzero((data >= least) & (data <= most))
        leads = leads[leads <= len(data) - size]
        for at in range(1, size):
            leads = leads[data[leads + at] >> 6 == 0b10]
        for lead, lowest, highest in _SECOND_BYTES:
            second = data[leads + 1]
            leads = leads[(data[leads] != lead) | ((second >= lowest) & (second <= highest))]
        for at in range(size):
            sound[leads + at] = True
    return sound


def _open_bytes(piece: bytearray) -> int:
    """How many bytes at the end begin a sequence whose rest may follow."""
    for count in range(1, min(_LONGEST_SEQUENCE - 1, len(piece)) + 1):
        tail = bytes(piece[-count:])
        if tail[0] >= 0xC0:
            return count if codecs.utf_8_decode(tail, "ignore", False)[1] == 0 else 0
    return 0
