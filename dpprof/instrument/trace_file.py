"""A rank's trace as a gzip file in two parts: torch's export, and what is known only at the end.

The parts may be written by two processes: the first ends on a whole byte, and what the second has
to know of it is in a `Body`.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import msgspec

_LEVEL = 2  # half the time of level 6 for a tenth more bytes
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflated, no name, no time, unknown system
_CHUNK = 1 << 20
_EVENTS = re.compile(rb'"traceEvents"\s*:\s*\[')


class Body(msgspec.Struct):
    """What the end of a gzip file says of what was written before: its CRC-32, its bytes."""

    crc: int = 0
    size: int = 0

    def add(self, text: bytes) -> bytes:
        """The same text, counted."""
        self.crc, self.size = zlib.crc32(text, self.crc), self.size + len(text)
        return text


def write_body(export: Path, partial: Path, lines: list[bytes]) -> Body:
    """All of `export` but its last brace, with `lines` as the first events.

    Raises `ValueError` where it is no trace, or not whole.
    """
    body, deflate = Body(), _deflate()
    with export.open("rb") as source, partial.open("wb") as out:
        out.write(_HEADER)
        chunk = _with_lines(source.read(_CHUNK), lines)
        while following := source.read(_CHUNK):
            out.write(deflate.compress(body.add(chunk)))
            chunk = following
        out.write(deflate.compress(body.add(_without_brace(chunk))))
        out.write(deflate.flush(zlib.Z_FULL_FLUSH))
    return body


def write_end(partial: Path, body: Body, text: bytes) -> None:
    """Add `text` and close the file."""
    deflate = _deflate()
    with partial.open("ab") as out:
        out.write(deflate.compress(body.add(text)) + deflate.flush())
        out.write(body.crc.to_bytes(4, "little") + (body.size % 2**32).to_bytes(4, "little"))


def _deflate() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def _with_lines(chunk: bytes, lines: list[bytes]) -> bytes:
    begin = _EVENTS.search(chunk)
    if begin is None:
        raise ValueError("torch wrote no traceEvents")
    others = not chunk[begin.end() :].lstrip().startswith(b"]")
    added = b",".join(b"\n" + line for line in lines) + b"," * (bool(lines) and others)
    return chunk[: begin.end()] + added + chunk[begin.end() :]


def _without_brace(chunk: bytes) -> bytes:
    text, brace, rest = chunk.rpartition(b"}")
    if not brace or rest.strip():
        raise ValueError("torch's trace does not end as JSON does")
    return text
