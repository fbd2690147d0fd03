"""What a file holds, told without reading all of it where that is safe.

The key of an entry is made of the file's size and of samples of its content. That does not prove
that the rest is the same, so an entry also remembers the `Stamp`s of the files that it was found
right for. A file with a known stamp has not been written to since; any other is read once and its
`digest` compared.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_SAMPLE_BYTES = 4096
_SAMPLES = 64
_CHUNK_BYTES = 1 << 20
_SECOND_NS = 1_000_000_000
_TICK_NS = 100_000_000
"""File times are coarse: a file written this recently may be written again unseen."""


class Stamp(NamedTuple):
    """Which file this is and when it was last written or replaced."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class Look(NamedTuple):
    """The stamp of a file at some time, and whether any later change is sure to alter it."""

    stamp: Stamp
    settled: bool


def look(file: Path) -> Look:
    """The stamp of a file now; raises OSError where there is none.

    That of a folder is never settled: what is written within its files does not alter it.
    """
    found = file.stat()
    stamp = Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    written_ns = max(stamp.modified_ns, stamp.changed_ns)
    whole_seconds = written_ns % _SECOND_NS == 0  # the file system counts no finer
    margin_ns = 2 * _SECOND_NS if whole_seconds else _TICK_NS
    return Look(stamp, file.is_file() and time.time_ns() - written_ns > margin_ns)


def sample(file: Path) -> bytes:
    """A hash of the size and of samples all over the content; of all of a small file.

    That of a folder is of the files in it.
    """
    result = hashlib.sha256()
    if file.is_dir():
        for one in _files_in(file):
            result.update(one.name.encode(errors="surrogateescape") + b"\0" + sample(one))
        return result.digest()
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        result.update(str(size).encode())
        step = max(_SAMPLE_BYTES, (size - _SAMPLE_BYTES) // _SAMPLES)
        for at in (*range(0, size, step), max(0, size - _SAMPLE_BYTES)):
            stream.seek(at)
            result.update(stream.read(_SAMPLE_BYTES))
    return result.digest()


def digest(file: Path) -> int:
    """A checksum of the whole content, of a folder of all that is in its files."""
    value = 0
    for one in _files_in(file) if file.is_dir() else [file]:
        with one.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                value = zlib.crc32(chunk, value)
    return value


def _files_in(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_file())


@lru_cache(maxsize=8)
def code_digest(*packages: str) -> str:
    """A checksum of the code of packages: what another version of it has made is stale.

    `packages` are names below `dpprof`, with all that is in them.
    """
    root = Path(__file__).parents[1]
    value = 0
    for package in packages:
        for file in sorted((root / package).rglob("*")):
            if file.suffix in (".py", ".so", ".pyd", ".c", ".cpp") and file.is_file():
                name = str(file.relative_to(root)).encode()
                value = zlib.crc32(file.read_bytes(), zlib.crc32(name, value))
    return f"{value:08x}"
