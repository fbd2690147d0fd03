"""Several small numbers of a row as one: Python's sqlite3 takes its time by the value.

A row of eight values costs twice one of three. SQLite packs them, NumPy takes them apart; a row
in which a number does not fit, or is none, gives NULL, and the table is then read unpacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

BITS: Mapping[str, int] = {
    "end": 36,  # from the start: 69 s
    "streamId": 21,
    "correlationId": 32,
    "demangledName": 24,
    "shortName": 24,
    "nameId": 24,
    "deviceId": 7,
    "textId": 24,
    "eventType": 7,
    "domainId": 24,
    "eventSyncId": 31,
}
"""Columns that are small in practice: bits that are kept of each."""

_WORD = 62
_FEW = 12
FEW_BITS = 4
"""Of a column with at most `_FEW` different values, such as processes: which of them it is."""


@dataclass(frozen=True)
class _Part:
    column: int  # its position among those asked for
    bits: int
    shift: int
    few: tuple[int, ...] = ()  # the values that its numbers stand for
    is_end: bool = False


Words = tuple[tuple[_Part, ...], ...]
"""What each column of the query holds."""


def plan_words(columns: Sequence[str], few: Mapping[str, tuple[int, ...]]) -> Words:
    """How to pack `columns`, of which those of `few` have only these values.

    The first column stands alone: it is the start, and says whether there is a row at all.
    """
    parts = [
        _Part(
            place,
            FEW_BITS if name in few else BITS.get(name, 64),
            0,
            few.get(name, ()),
            name == "end" and columns[0] == "start",
        )
        for place, name in enumerate(columns)
    ]
    parts = [one if one.bits != BITS["end"] or one.is_end else _alone(one) for one in parts]
    words: list[list[_Part]] = [[_alone(parts[0])]]
    room: list[int] = [0]
    for part in sorted(parts[1:], key=lambda one: -one.bits):
        fits = next((n for n, free in enumerate(room) if free >= part.bits), None)
        if fits is None:
            words.append([])
            room.append(_WORD)
            fits = len(words) - 1
        shift = _WORD - room[fits] if part.bits < 64 else 0
        words[fits].append(_Part(part.column, part.bits, shift, part.few, part.is_end))
        room[fits] -= min(part.bits, room[fits])
    return tuple(map(tuple, words))


def _alone(part: _Part) -> _Part:
    return _Part(part.column, 64, 0)


def may_be_few(values: Sequence[object]) -> tuple[int, ...] | None:
    """The values of a column as `plan_words` takes them; None where they are too many or odd."""
    numbers = [one for one in values if isinstance(one, int)]
    return tuple(numbers) if len(numbers) == len(values) <= _FEW else None


def sql_of(words: Words, columns: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The SQL of each word; `known` has the SQL of each column that is there."""
    return [_word_sql(word, columns, known) for word in words]


def _word_sql(word: tuple[_Part, ...], columns: Sequence[str], known: Mapping[str, str]) -> str:
    if len(word) == 1 and word[0].bits == 64:
        return known[columns[word[0].column]]
    values, sound = [], []
    for part in word:
        value = known[columns[part.column]]
        if part.is_end:
            value = f"({value} - {known[columns[0]]})"
        if part.few:
            which = " ".join(f"WHEN {one} THEN {n}" for n, one in enumerate(part.few))
            value = f"(CASE {value} {which} END)"
        else:
            sound.append(f"{value} = ({value} & {2**part.bits - 1})")
        values.append(f"({value} << {part.shift})" if part.shift else value)
    packed = " | ".join(values)
    return f"CASE WHEN {' AND '.join(sound)} THEN {packed} END" if sound else packed


def unpack_words(words: Words, rows: Integers, count: int) -> list[Integers]:
    """The columns that were asked for, from the columns of words."""
    result: list[Integers] = [np.zeros(0, dtype=np.int64)] * count
    for word, values in zip(words, rows.T, strict=True):
        for part in word:
            result[part.column] = _value(part, values)
    for part in (one for word in words for one in word if one.is_end):
        result[part.column] = result[part.column] + result[0]
    return result


def _value(part: _Part, values: Integers) -> Integers:
    if part.bits == 64:
        return np.ascontiguousarray(values)
    found: Integers = (values >> part.shift) & (2**part.bits - 1)
    return np.array(part.few, dtype=np.int64)[found] if part.few else found
