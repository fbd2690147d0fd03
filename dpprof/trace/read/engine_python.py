"""The engine without a compiler: scans a piece of a trace with msgspec, to the same rows.

It finds whole events by their brackets and decodes them as one list; where that fails, the message
of msgspec says at which byte, and what is before it is decoded again.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np

from dpprof.trace.read.engine_python_rows import EventRows, ParsedEvent
from dpprof.trace.read.engines import (
    HEADERS,
    MAX_DEPTH,
    MAX_HEADER_BYTES,
    ParserPosition,
    ScannedBlock,
    State,
    Stop,
)
from dpprof.trace.read.json_structure import Positions, Structure, find_outside, find_structure

_BYTE = re.compile(r"\(byte (\d+)\)")
_EVENTS_KEY = re.compile(rb'(?:^|.*[^\\])("traceEvents"[ \t\r\n]*:[ \t\r\n]*)\Z', re.DOTALL)
_KEY_REACH = 256
_SPACE = b" \t\r\n"
_VALUE_ENDS = (b"}", b"]", b'"', b"true", b"false", b"null")

_BEGUN_TOKEN = re.compile(rb"(?:[tfn][a-z]{0,3}|-?[0-9][0-9.eE+-]*|-)?\Z")

_EVENTS = msgspec.json.Decoder(list[ParsedEvent])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EVENT = msgspec.json.Decoder(ParsedEvent)

_T = TypeVar("_T")


@dataclass
class _Scan:
    """A scan under way: where it stands, and what was found so far."""

    data: bytes
    position: int
    place: ParserPosition
    is_list: bool
    rows: EventRows = field(default_factory=EventRows)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    lists: int = 0
    stop: Stop | None = None
    stop_at: int = 0

    def give_up(self, stop: Stop, at: int) -> None:
        self.stop, self.stop_at = stop, at


@dataclass(frozen=True)
class _Decoded:
    """What could be decoded of a piece, how far that reaches, and the byte that stopped it."""

    value: Any
    end: int
    unsound_at: int | None


def scan_python(data: Any, start: int, stop: int, state: State) -> ScannedBlock:
    """Scan `data` from `start` to its end; takes no `stop` between events."""
    del stop
    with memoryview(data) as view:
        scan = _Scan(bytes(view[start:]), 0, state.place, state.is_list)
    while scan.stop is None:
        if scan.place in (ParserPosition.FIRST_EVENT, ParserPosition.AFTER_EVENT):
            _scan_events(scan)
        else:
            _scan_top(scan)
    return scan.rows.block(
        position=start + scan.position,
        place=int(scan.place),
        is_list=int(scan.is_list),
        stop=int(scan.stop),
        stop_at=start + scan.stop_at,
        lists=scan.lists,
        headers=scan.headers,
    )


def _scan_events(scan: _Scan) -> None:
    piece = scan.data[scan.position :]
    structure = find_structure(piece)
    closing = structure.brackets[structure.depth == -1]
    end = int(closing[0]) if len(closing) else None
    ends = structure.brackets[structure.depth == 0] + 1
    ends = ends[ends <= (len(piece) if end is None else end)]
    deep = _too_deep(structure, len(piece) if end is None else end)
    if deep is not None:
        end = None
    body = piece[: _last(ends, len(piece) if deep is None else deep) if end is None else end]
    first = len(body) - len(body.lstrip(_SPACE))
    is_blank = first == len(body)
    if not is_blank:
        if scan.place == ParserPosition.AFTER_EVENT and body[first : first + 1] != b",":
            return scan.give_up(Stop.UNSOUND, scan.position + first)
        skip = first + 1 if scan.place == ParserPosition.AFTER_EVENT else 0
        if skip and end is not None and not body[skip:].strip(_SPACE):
            return scan.give_up(Stop.UNSOUND, scan.position + end)
        decoded = _decode_events(body, skip, ends)
        if decoded.end > skip:
            scan.place = ParserPosition.AFTER_EVENT
            _add_events(scan, decoded.value)
        if decoded.unsound_at is not None:
            at = scan.position + decoded.unsound_at
            scan.position += decoded.end
            return scan.give_up(Stop.UNSOUND, at)
        scan.position += len(body)
    if deep is not None:
        return scan.give_up(Stop.DECLINED, scan.position - len(body) + deep)
    if end is None:
        return scan.give_up(Stop.NEEDS_MORE, len(scan.data))
    scan.position = scan.position + 1 if not is_blank else scan.position + end + 1
    scan.place = ParserPosition.END if scan.is_list else ParserPosition.AFTER_MEMBER
    return None


def _decode_events(body: bytes, skip: int, ends: Positions) -> _Decoded:
    """The elements in `body`, without its first `skip` bytes, up to the last sound one."""
    unsound_at = _bad_text(body)
    length = len(body) if unsound_at is None else _last(ends, unsound_at)
    while length > skip:
        try:
            return _Decoded(_decode_list(b"[" + body[skip:length] + b"]"), length, unsound_at)
        except msgspec.DecodeError as error:
            unsound_at = min(_byte_of(error, length) - 1 + skip, length - 1)
            length = _last(ends, unsound_at)
    return _Decoded([], 0 if unsound_at is not None else len(body), unsound_at)


def _decode_list(data: bytes) -> list[ParsedEvent] | list[msgspec.Raw]:
    try:
        return _EVENTS.decode(data)
    except msgspec.ValidationError:  # an element is no object
        return _ELEMENTS.decode(data)


def _add_events(scan: _Scan, elements: list[Any]) -> None:
    for element in elements:
        if isinstance(element, ParsedEvent):
            scan.rows.add((element,))
        elif bytes(element).startswith(b"{"):
            scan.rows.add((_EVENT.decode(element),))


def _scan_top(scan: _Scan) -> None:
    """Go on in the top object, before, after or between its members."""
    at = len(scan.data) - len(scan.data[scan.position :].lstrip(_SPACE))
    here = scan.data[at : at + 1]
    if scan.place == ParserPosition.END:
        scan.position = at
        scan.give_up(Stop.UNSOUND if here else Stop.FINE, at)
    elif not here:
        scan.give_up(Stop.NEEDS_MORE, at)
    elif scan.place == ParserPosition.START and here == b"[":
        scan.position, scan.place, scan.is_list = at + 1, ParserPosition.FIRST_EVENT, True
        scan.lists += 1
    elif scan.place == ParserPosition.START and here != b"{":
        scan.give_up(Stop.NO_TRACE, at)
    elif scan.place == ParserPosition.AFTER_MEMBER and here == b"}":
        scan.position, scan.place = at + 1, ParserPosition.END
    elif scan.place == ParserPosition.AFTER_MEMBER and here != b",":
        scan.give_up(Stop.UNSOUND, at)
    elif scan.place == ParserPosition.START and scan.data[at + 1 :].lstrip(_SPACE).startswith(b"}"):
        scan.position, scan.place = scan.data.index(b"}", at) + 1, ParserPosition.END
    else:
        _scan_members(scan, at + 1)


def _scan_members(scan: _Scan, begin: int) -> None:
    """Take members from `begin` on, up to the events, the end of the object or of the data."""
    piece = scan.data[begin:]
    structure = find_structure(piece)
    closing = structure.brackets[structure.depth == -1]
    end = int(closing[0]) if len(closing) else len(piece)
    commas = find_outside(piece, structure, b",")
    key = _events_key(piece, structure, end)
    if key is not None:
        end = key[0]
    elif not len(closing):
        end = _end_of_sound(piece, structure, commas)
    body = piece[:end]
    has_comma = key is not None and body.rstrip(_SPACE).endswith(b",")
    text = body.rstrip(_SPACE)[:-1] if has_comma else body
    if has_comma and not text.strip(_SPACE):
        return scan.give_up(Stop.UNSOUND, begin)
    decoded = _decode_members(text, structure, commas)
    if b"traceEvents" in decoded.value:
        return scan.give_up(Stop.NO_TRACE, begin)
    for name, value in decoded.value.items():
        if name in HEADERS and len(value) <= MAX_HEADER_BYTES:
            scan.headers.append((name, value))
    if decoded.end > 0:
        scan.position, scan.place = begin + decoded.end, ParserPosition.AFTER_MEMBER
    if decoded.unsound_at is not None:
        return scan.give_up(Stop.UNSOUND, begin + decoded.unsound_at)
    if key is not None and not has_comma and text.strip(_SPACE):
        scan.give_up(Stop.UNSOUND, begin + key[0])
    elif key is not None:
        scan.position, scan.place = begin + key[1], ParserPosition.FIRST_EVENT
        scan.lists += 1
    elif len(closing):
        scan.position, scan.place = begin + end + 1, ParserPosition.END
    else:
        scan.give_up(Stop.NEEDS_MORE, len(scan.data))
    return None


def _end_of_sound(piece: bytes, structure: Structure, commas: Positions) -> int:
    """How much of a piece without an end is worth decoding: whole members, or up to a mistake."""
    if _is_whole(piece, structure):
        return len(piece)
    unsound_at = _bad_text(piece)
    if unsound_at is None:
        members = _members(piece)
        unsound_at = members if isinstance(members, int) else len(piece)
    begun = _BEGUN_TOKEN.search(piece, max(0, len(piece) - _KEY_REACH))
    is_mistake = begun is not None and unsound_at < begun.start()
    return len(piece) if is_mistake else _last(commas, len(piece))


def _is_whole(piece: bytes, structure: Structure) -> bool:
    """Whether the piece ends just behind a member; after a number, more digits may follow."""
    is_outside = len(structure.quotes) % 2 == 0
    is_at_top = not len(structure.depth) or structure.depth[-1] == 0
    ends_value = piece.rstrip(_SPACE).endswith(_VALUE_ENDS)
    return is_outside and is_at_top and ends_value and not isinstance(_members(piece), int)


def _decode_members(text: bytes, structure: Structure, commas: Positions) -> _Decoded:
    unsound_at = _too_deep(structure, len(text))
    if unsound_at is None:
        unsound_at = _bad_text(text)
    length = len(text) if unsound_at is None else unsound_at
    while length > 0:
        members = _members(text[:length])
        if not isinstance(members, int):
            return _Decoded(members, length, unsound_at)
        if unsound_at is None:
            # It may be a whole member that something unsound follows.
            unsound_at = length = min(members, length - 1)
        else:
            length = _last(commas, length - 1)
    return _Decoded({}, 0, unsound_at)


def _members(text: bytes) -> dict[bytes, bytes] | int:
    """The members in `text` by their keys, or the byte where it is unsound."""
    try:
        members = _MEMBERS.decode(b"{" + text + b"}")
    except msgspec.DecodeError as error:
        return _byte_of(error, len(text) + 1) - 1
    except UnicodeDecodeError:
        return len(text) - 1
    return {name.encode("utf-8", "replace"): bytes(raw) for name, raw in members.items()}


def _events_key(piece: bytes, structure: Structure, end: int) -> tuple[int, int] | None:
    """Where the key of the events begins, and where their list does; None without them."""
    at_top = (structure.depth == 1) & (structure.brackets < end)
    opens = structure.brackets[at_top]
    data = np.frombuffer(piece, dtype=np.uint8)
    for bracket in opens[data[opens] == ord("[")].tolist():
        before = max(0, bracket - _KEY_REACH)
        found = _EVENTS_KEY.match(piece[before:bracket])
        if found is not None:
            return before + found.start(1), bracket + 1
    return None


def _too_deep(structure: Structure, length: int) -> int | None:
    deep = structure.brackets[(structure.depth > MAX_DEPTH) & (structure.brackets < length)]
    return int(deep[0]) if len(deep) else None


def _bad_text(body: bytes) -> int | None:
    try:
        codecs.utf_8_decode(body, "strict", False)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _byte_of(error: msgspec.DecodeError, length: int) -> int:
    found = _BYTE.search(str(error))
    return int(found[1]) if found else length


def _last(positions: Positions, limit: int) -> int:
    """The last of the sorted positions that is at most `limit`; 0 without any."""
    count = int(np.searchsorted(positions, limit, side="right"))
    return int(positions[count - 1]) if count else 0
