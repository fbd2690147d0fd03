"""Unpacks what traces are passed on as: zip, tar, xz and bzip2, and texts in UTF-16 or UTF-32."""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from dpprof.errors import DpprofError

Read = Callable[[int], bytes]
Damaged = Callable[[str], None]

HEAD_BYTES = 512
ZIP_MAGIC = b"PK\x03\x04"
_XZ_MAGIC, _BZ2_MAGIC = b"\xfd7zXZ\x00", b"BZh"
_TAR_MAGIC, _TAR_AT = b"ustar", 257
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BARE = ((b"{\0", "utf-16-le"), (b"[\0", "utf-16-le"), (b"\0{", "utf-16-be"), (b"\0[", "utf-16-be"))
_ERRORS = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, RuntimeError)
_SHOWN = 4
_CHUNK_BYTES = 1 << 16


class Ahead:
    """Reads on from a function, with what was looked at first; has that as its state."""

    def __init__(self, read: Read) -> None:
        self._source = read
        self._ahead = b""

    def peek(self, count: int) -> bytes:
        """The next bytes, `count` of them if there are as many; they are read again."""
        while len(self._ahead) < count and (more := self._source(count - len(self._ahead))):
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int = -1) -> bytes:
        """The next bytes, at most `count`."""
        if not self._ahead:
            return self._source(count)
        data = self._ahead if count < 0 else self._ahead[:count]
        self._ahead = self._ahead[len(data) :]
        return data


def open_packed(head: bytes, source: Any, damaged: Damaged) -> Read | None:
    """Reads what `source` unpacks to, by its first bytes; None where it is not packed so.

    `damaged` is told where unpacking breaks off. Raises `DpprofError` for an archive without a
    trace, or with several.
    """
    if head.startswith(ZIP_MAGIC):
        return _zip(source, damaged)
    if head.startswith(_XZ_MAGIC):
        return _guarded(lzma.LZMAFile(source).read1, damaged)
    if head.startswith(_BZ2_MAGIC):
        return _guarded(bz2.BZ2File(source).read1, damaged)
    if head[_TAR_AT:].startswith(_TAR_MAGIC):
        return _tar(source, damaged)
    for mark, encoding in (*_MARKS, *_BARE):
        if head.startswith(mark):
            skipped = len(mark) if (mark, encoding) in _MARKS else 0
            return _transcoded(source, encoding, skipped)
    return None


def _guarded(read: Read, damaged: Damaged) -> Read:
    def reading(count: int) -> bytes:
        try:
            return read(min(count, _CHUNK_BYTES))  # what is read before damage counts
        except _ERRORS as error:
            damaged(f"is damaged ({error})")
            return b""

    return reading


def _zip(source: Any, damaged: Damaged) -> Read:
    try:
        archive = zipfile.ZipFile(source)
        members = [one.filename for one in archive.infolist() if not one.is_dir()]
        return _guarded(archive.open(_only_trace(members, source, "zip")).read, damaged)
    except (zipfile.BadZipFile, *_ERRORS) as error:
        raise DpprofError(
            f"{_name(source)}: is a zip archive that cannot be unpacked ({error}); unpack it first"
        ) from error


def _tar(source: Any, damaged: Damaged) -> Read:
    """The first trace in the archive: what follows it is not known while it is read."""
    try:
        archive = tarfile.open(fileobj=source, mode="r|")  # noqa: SIM115
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and _may_be_trace(member.name):
                return _until_next(file.read, archive, source, damaged)
    except (tarfile.TarError, *_ERRORS) as error:
        raise DpprofError(
            f"{_name(source)}: is a tar archive that cannot be unpacked ({error}); unpack it first"
        ) from error
    raise DpprofError(f"{_name(source)}: is a tar archive without a trace; give a trace file")


def _until_next(read: Read, archive: tarfile.TarFile, source: Any, damaged: Damaged) -> Read:
    guarded = _guarded(read, damaged)

    def reading(count: int) -> bytes:
        data = guarded(count)
        if not data and _has_more(archive):
            raise DpprofError(
                f"{_name(source)}: is a tar archive of several files; unpack it, and give the "
                "folder"
            )
        return data

    return reading


def _has_more(archive: tarfile.TarFile) -> bool:
    try:
        following = archive.next()
    except (tarfile.TarError, *_ERRORS):
        return False
    return following is not None and _may_be_trace(following.name)


def _only_trace(names: list[str], source: Any, kind: str) -> str:
    traces = [name for name in names if _may_be_trace(name)]
    if len(traces) == 1:
        return traces[0]
    shown = ", ".join(traces[:_SHOWN]) + (", ..." if len(traces) > _SHOWN else "")
    what = f"of several files ({shown}); unpack it, and give the folder"
    what = what if traces else "without a trace; give a trace file"
    raise DpprofError(f"{_name(source)}: is a {kind} archive {what}")


def _may_be_trace(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" not in path.parts and not path.name.startswith(".")


def _name(source: Any) -> str:
    return str(getattr(source, "name", "the archive"))


def _transcoded(source: Any, encoding: str, skipped: int) -> Read:
    """The text in UTF-8; halves of characters are read as unknown ones."""
    source.read(skipped)
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    pending = io.BytesIO()

    def reading(count: int) -> bytes:
        nonlocal pending
        while not (data := pending.read(count)):
            packed = source.read(max(count, 4))
            text = decoder.decode(packed, final=not packed)
            if not packed and not text:
                return b""
            pending = io.BytesIO(text.encode("utf-8", "replace"))
        return data

    return reading
