"""What the JSON tokens of a trace are worth, for both engines: times, integers and texts.

A token is the value's bytes as written, quotes included; empty where the key is absent.
"""

from __future__ import annotations

import json
import re

from dpprof.trace.read.engines import MAX_TEXT_BYTES

Token = bytes

_NUMBER = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_LIMIT_NS = 2**62
_USUAL_DIGITS = 16
_ZERO = ord("0")
_LONGEST_EXPONENT = 12  # digits; more shift any number out of range


def nanoseconds(token: Token) -> int | None:
    """Whole nanoseconds of a time in microseconds, cut off towards zero.

    None for what is no number, or beyond 2**62 ns. Numbers written as text are taken.
    """
    whole, point, fraction = token.partition(b".")
    is_usual = whole.isdigit() and len(whole) <= _USUAL_DIGITS and whole[0] != _ZERO
    if is_usual and (fraction.isdigit() or not point):  # as Kineto writes it
        value = int(whole) * 1000 + int((fraction + b"000")[:3])
        return value if value < _LIMIT_NS else None
    return _unusual_nanoseconds(token)


def _unusual_nanoseconds(token: Token) -> int | None:
    found = _NUMBER.fullmatch(token[1:-1] if token.startswith(b'"') else token)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    digits = whole + (fraction or b"")
    wanted = len(whole) + _exponent(exponent) + 3
    digits = digits[: max(wanted, 0)].lstrip(b"0")
    missing = wanted - len(whole) - len(fraction or b"")
    if len(digits) > 19 or (digits and missing > 19):
        return None
    value = int(digits or b"0") * int(10 ** (missing if digits and missing > 0 else 0))
    if value >= _LIMIT_NS:
        return None
    return -value if sign else value


def _exponent(text: bytes | None) -> int:
    if not text:
        return 0
    digits = text.lstrip(b"+-").lstrip(b"0")[: _LONGEST_EXPONENT + 1]
    value = int(digits or b"0")
    return -value if text.startswith(b"-") else value


def is_integer(token: Token) -> bool:
    """Whether the token is a number without point and exponent."""
    return _INTEGER.fullmatch(token) is not None


def integer(token: Token) -> int | None:
    """The integer; -1 where it is absent or needs more than 64 bits; None for a wrong type.

    ROCm writes some numbers as text: text of digits is taken, any other text is -1.
    """
    if not token or token == b"null":
        return -1
    if token.isdigit() and len(token) <= _USUAL_DIGITS and token[0] != _ZERO:
        return int(token)
    digits = token
    if token.startswith(b'"'):
        digits = token[1:-1]
        if not digits.isdigit():
            return -1
    elif not is_integer(token):
        return None
    if len(digits.lstrip(b"-")) > 19:
        return -1
    value = int(digits)
    return value if abs(value) < 2**63 else -1


def small_integer(token: Token) -> int | None:
    """As `integer`, with -1 for what needs more than 32 bits."""
    value = integer(token)
    return value if value is None or -(2**31) <= value < 2**31 else -1


def is_label(token: Token) -> bool:
    """Whether the token names something: text, a whole number or nothing."""
    if token.isdigit() and len(token) < _USUAL_DIGITS and token[0] != _ZERO:
        return True
    is_kind = not token or token == b"null" or token.startswith(b'"') or is_integer(token)
    return is_kind and len(token) <= MAX_TEXT_BYTES


def is_wording(token: Token) -> bool:
    """Whether the token can be kept as text; a list of ranks counts as text, as it is written."""
    return not token.startswith((b"{", b"t", b"f")) and len(token) <= MAX_TEXT_BYTES


def text_of(token: Token) -> str:
    """The token as text: unquoted, or as written; "" where it is null."""
    if token == b"null":
        return ""
    if not token.startswith(b'"'):
        return token.decode("utf-8", "replace")
    if b"\\" not in token:
        return token[1:-1].decode("utf-8", "replace")
    return str(json.loads(token))
