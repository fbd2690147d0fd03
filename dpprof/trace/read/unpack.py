"""Reads the bytes of a trace file piece by piece, unpacked where it is gzip or zstd."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dpprof.errors import DpprofError

LIMIT_VARIABLE = "DPPROF_MAX_TRACE_BYTES"
DEFAULT_LIMIT_BYTES = 16 << 30

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PACKED_BYTES = 1 << 18
_AUTOMATIC_GZIP = 31


def limit_bytes() -> int:
    """The most bytes a packed trace may unpack to: `LIMIT_VARIABLE`, else 16 GiB."""
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return DEFAULT_LIMIT_BYTES
    if not (text.isascii() and text.isdigit()):
        raise DpprofError(f"{LIMIT_VARIABLE}={text}: not a number of bytes; give a whole number")
    return int(text)


class Stream:
    """A trace file being read; has state as a file has. `damage` says what stopped it early."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.damage: list[str] = []
        self.is_packed = False
        self._limit = limit_bytes()
        self._count = 0
        try:
            self._source: BinaryIO = file.open("rb")
            magic = self._source.read(4)
            self._source.seek(0)
        except OSError as error:
            raise DpprofError(
                f"{file}: cannot be read ({error.strerror}); give a trace file"
            ) from error
        self._read = self._unpacker(magic)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._source.close()

    def fileno(self) -> int:
        """The file descriptor, for mapping a file that is not packed."""
        return self._source.fileno()

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; none at the end, or where the rest is damaged.

        Raises `DpprofError` where the file unpacks to more than the limit.
        """
        data = self._read(count)
        self._count += len(data)
        if self.is_packed and self._count > self._limit:
            raise DpprofError(
                f"{self.file}: unpacks to more than {self._limit} bytes; if it is sound, allow "
                f"more with {LIMIT_VARIABLE}"
            )
        return data

    def _unpacker(self, magic: bytes) -> Callable[[int], bytes]:
        self.is_packed = True
        if magic.startswith(_GZIP_MAGIC):
            return _Gzip(self._source, self._damaged).read
        if magic == _ZSTD_MAGIC:
            return self._zstd()
        self.is_packed = False
        return self._source.read

    def _damaged(self, what: str) -> None:
        self.damage.append(f"the packed stream {what} after {self._count} readable bytes")

    def _zstd(self) -> Callable[[int], bytes]:
        try:
            import zstandard
        except ImportError as error:
            raise DpprofError(
                f"{self.file}: is packed with zstd; pip install 'dpprof[zstd]', or unpack it first"
            ) from error
        reader: Any = zstandard.ZstdDecompressor().stream_reader(
            self._source, read_across_frames=True
        )

        def read(count: int) -> bytes:
            try:
                return bytes(reader.read(count))
            except zstandard.ZstdError as error:
                self._damaged(f"is damaged ({error})")
                return b""

        return read


class _Gzip:
    """Unpacks gzip members one after another; has the state of the unpacking."""

    def __init__(self, source: BinaryIO, damaged: Callable[[str], None]) -> None:
        self._source = source
        self._damaged = damaged
        self._member: Any = zlib.decompressobj(_AUTOMATIC_GZIP)
        self._packed = b""
        self._is_over = False

    def read(self, count: int) -> bytes:
        while not self._is_over:
            if not self._packed:
                self._packed = self._source.read(_PACKED_BYTES)
            if self._member.eof and not self._next_member():
                break
            if not self._packed:
                return self._end("is cut off")
            try:
                data: bytes = self._member.decompress(self._packed, count)
            except zlib.error as error:
                return self._end(f"is damaged ({error})")
            self._packed = self._member.unconsumed_tail or self._member.unused_data
            if data:
                return data
        return b""

    def _next_member(self) -> bool:
        """Whether another member follows; zeros after the last one are padding."""
        self._packed = self._packed.lstrip(b"\0")
        if not self._packed:
            self._packed = self._source.read(_PACKED_BYTES).lstrip(b"\0")
        if not self._packed:
            self._is_over = True
        elif not _GZIP_MAGIC.startswith(self._packed[:2]):
            self._end("has other bytes behind its end")
        else:
            self._member = zlib.decompressobj(_AUTOMATIC_GZIP)
        return not self._is_over

    def _end(self, what: str) -> bytes:
        self._is_over = True
        self._damaged(what)
        return b""
