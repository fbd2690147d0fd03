"""A file as a buffer that is read where it is looked at, in pieces, by several threads at once.

Unlike a mapped file, one that is cut while it is read gives short pieces and ends no process;
unlike a copy of the whole, it takes no more memory than the pieces under way.
"""

from __future__ import annotations

import os
from typing import Protocol


class ReadableBytes(Protocol):
    """What can be read by position: bytes, or a file."""

    def __len__(self) -> int:
        """How many bytes there are."""

    def __getitem__(self, where: slice, /) -> bytes:
        """The bytes from ``where.start`` to ``where.stop``; fewer at the end."""


class FileBytes:
    """The bytes of an open regular file, as many as it had when it was opened."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        """The size of the file."""
        return self._size

    def __getitem__(self, where: slice, /) -> bytes:
        """The bytes from ``where.start`` to ``where.stop``; fewer where the file is cut."""
        start, stop, _ = where.indices(self._size)
        parts = []
        while start < stop and (part := os.pread(self._descriptor, stop - start, start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
