"""Small inputs that people and other programs write, read with a bound; and texts of any bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

_Wanted = TypeVar("_Wanted")

MOST_BYTES = 64 << 20
"""Of a manifest, a schedule or a cost profile; the largest known has some hundred KiB."""


class BadInput(ValueError):
    """What is wrong with the content; the caller names the file and what to do."""


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file that was found rather than named.

    Raises OSError, and `BadInput` for what is no regular file (reading a pipe or a device may
    never end) or larger than `most_bytes`.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise BadInput("not a regular file")
        return _bounded(file.read(most_bytes + 1), most_bytes)


def read_named(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file that somebody named, which may be a pipe.

    Raises OSError, and `BadInput` where it is larger than `most_bytes`.
    """
    with path.open("rb") as file:
        return _bounded(file.read(most_bytes + 1), most_bytes)


def _bounded(content: bytes, most_bytes: int) -> bytes:
    if len(content) > most_bytes:
        raise BadInput(f"more than {most_bytes} bytes")
    return content


@overload
def decode_json(content: bytes) -> Any: ...


@overload
def decode_json(content: bytes, wanted: type[_Wanted]) -> _Wanted: ...


def decode_json(content: bytes, wanted: Any = Any) -> Any:
    """The content as `wanted`; raises `BadInput`, whatever is wrong with it."""
    try:
        return msgspec.json.decode(content, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(str(error)) from error
    except RecursionError as error:
        raise BadInput("nested too deeply") from error


def convert_plain(plain: Any, wanted: type[_Wanted]) -> _Wanted:
    """Plain data as `wanted`; raises `BadInput`, whatever is wrong with it."""
    try:
        return msgspec.convert(plain, wanted)
    except msgspec.MsgspecError as error:
        raise BadInput(str(error)) from error
    except RecursionError as error:
        raise BadInput("nested too deeply") from error


def plain_text(text: str) -> str:
    """The text as any encoding can hold it: bytes of a name that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def encode_json(value: object) -> bytes:
    """JSON of structs and plain data, whatever their texts hold: see `plain_text`."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_plain(msgspec.to_builtins(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
