"""Reads the bytes of a trace file piece by piece, unpacked whatever it is packed as."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dpprof.errors import DpprofError, FileFault, faults_of
from dpprof.trace.read.archives import HEAD_BYTES, ZIP_MAGIC, Ahead, Read, open_packed
from dpprof.trace.read.budget import Budget
from dpprof.trace.read.writers import name_foreign

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_PACKED_BYTES = 1 << 18
_MOST_LAYERS = 4
_AUTOMATIC_GZIP = 31


def beginning(file: Path, count: int = 1 << 16) -> bytes:
    """The first bytes of a trace file, unpacked; raises `DpprofError` as `Stream` does."""
    with Stream(file) as stream:
        return Ahead(stream.read).peek(count)


class Stream:
    """A trace file being read; has state as a file has.

    `damage` says what stopped it early, `budget` what reading it may take.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.damage: list[str] = []
        self.is_packed = False
        self._count = 0
        try:
            self._source: BinaryIO = file.open("rb")
            self._head = self._source.read(HEAD_BYTES)
            self._source.seek(0)
        except OSError as error:
            raise DpprofError(
                f"{file}: cannot be read ({error.strerror}); give a trace file"
            ) from error
        with faults_of(file):
            self._read = self._unpacker()
        size = os.fstat(self._source.fileno()).st_size
        self.budget = Budget(size if self.is_packed else None)

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

        Raises `DpprofError` where the file unpacks to more than it may: see `Budget`.
        """
        data = self._read(count)
        self._count += len(data)
        with faults_of(self.file):
            self.budget.check_unpacked(self._count)
        return data

    def _unpacker(self) -> Read:
        """Reads through all layers of packing. Raises `FileFault` for what is no trace."""
        read: Read = self._source.read
        head = self._head
        for _ in range(_MOST_LAYERS):
            name_foreign(head, "".join(self.file.suffixes))
            unpacked = self._layer(head, read)
            if unpacked is None:
                return read
            self.is_packed = True
            ahead = Ahead(unpacked)
            head, read = ahead.peek(HEAD_BYTES), ahead.read
        raise FileFault(f"is packed more than {_MOST_LAYERS} times; unpack it first")

    def _layer(self, head: bytes, read: Read) -> Read | None:
        source = Ahead(read)
        if head.startswith(_GZIP_MAGIC):
            return _Gzip(source, self._damaged).read
        if head.startswith(_ZSTD_MAGIC):
            return self._zstd(source)
        if self.is_packed and head.startswith(ZIP_MAGIC):
            raise FileFault("holds a zip archive within another; unpack it first")
        return open_packed(head, self._source if not self.is_packed else source, self._damaged)

    def _damaged(self, what: str) -> None:
        self.damage.append(f"the packed stream {what} after {self._count} readable bytes")

    def _zstd(self, source: Any) -> Read:
        try:
            import zstandard
        except ImportError as error:
            raise FileFault(
                "is packed with zstd; pip install 'dpprof[zstd]', or unpack it first"
            ) from error
        reader: Any = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)

        def read(count: int) -> bytes:
            try:
                return bytes(reader.read(count))
            except zstandard.ZstdError as error:
                self._damaged(f"is damaged ({error})")
                return b""

        return read


class _Gzip:
    """Unpacks gzip members one after another; has the state of the unpacking."""

    def __init__(self, source: Any, damaged: Callable[[str], None]) -> None:
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
