"""Entries of the cache: each a folder of Parquet files and one JSON file that vouches for them.

An entry is written beside its place and renamed when whole, so there is no half of one to be
found. Whatever does not check out when read counts as not there.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from dpprof.store.contents import Stamp
from dpprof.store.parquet import from_parquet
from dpprof.store.place import CacheLocation
from dpprof.system.inputs import BadInput, decode_json, read_regular
from dpprof.system.whole import partial_folder

ABOUT = "entry.json"
_MOST_STAMPS = 16
_MOST_ABOUT_BYTES = 16 << 20
_SUM_BYTES = 9  # eight hexadecimal digits and a line feed


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says of itself.

    `source` is the file that it was first made from, for people; `digest` that file's content;
    `files` each Parquet file's size and checksum; `rest` whatever else its maker keeps.
    """

    source: str
    digest: int
    stamps: list[Stamp]
    files: dict[str, tuple[int, int]]
    rest: dict[str, Any]


class Damaged(Exception):
    """An entry, or a file of one, is not what was written, or is gone."""


_UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(MemoryError, NotImplementedError, msgspec.MsgspecError),
)
"""What the library of Parquet and its kin raise for files that are none, whatever they hold."""


@dataclass(frozen=True)
class CacheEntry:
    """An entry that was found; its tables are read when asked for."""

    folder: Path
    about: About

    def table(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of the entry; raises `Damaged`."""
        file = self.folder / f"{name}.parquet"
        try:
            size, checksum = self.about.files.get(name, (-1, 0))
            content = read_regular(file, max(size, 0))
            if (size, checksum) != (len(content), zlib.crc32(content)):
                raise Damaged(f"{file}: not what was written")
            return from_parquet(content, columns)
        except _UNREADABLE as error:
            raise Damaged(f"{file}: {error}") from error

    def check(self, name: str) -> None:
        """Raise `Damaged` unless the table's file is there in its size; cheaper than reading it."""
        file = self.folder / f"{name}.parquet"
        try:
            if not file.is_file() or self.about.files.get(name, (-1, 0))[0] != file.stat().st_size:
                raise Damaged(f"{file}: not what was written")
        except OSError as error:
            raise Damaged(f"{file}: {error}") from error

    def knows(self, stamp: Stamp) -> bool:
        """Whether the entry is known to be right for the file of that stamp."""
        return stamp in self.about.stamps

    def remember(self, stamp: Stamp) -> None:
        """Note that the entry is right for the file of that stamp; no matter if it cannot."""
        stamps = [stamp, *self.about.stamps][:_MOST_STAMPS]
        try:
            about = msgspec.structs.replace(self.about, stamps=stamps)
            with partial_folder(self.folder.parent) as folder:
                partial = folder / ABOUT
                partial.write_bytes(_sealed(about))
                os.replace(partial, self.folder / ABOUT)  # noqa: PTH105 - atomic
        except OSError:
            return

    def touch(self) -> None:
        """Note that the entry was used now."""
        try:
            os.utime(self.folder / ABOUT)
        except OSError:  # another has thrown it out, or we may only read
            return


def open_entry(place: CacheLocation, key: str) -> CacheEntry | None:
    """The entry of that key; None where there is none, or a damaged one."""
    folder = place.entries / key
    try:
        content = read_regular(folder / ABOUT, _MOST_ABOUT_BYTES)
        head, body = content[:_SUM_BYTES], content[_SUM_BYTES:]
        if head != f"{zlib.crc32(body):08x}\n".encode():
            return None
        return CacheEntry(folder, decode_json(body, About))
    except (OSError, BadInput):
        return None


def write_entry(
    place: CacheLocation, key: str, contents: Mapping[str, bytes], about: About
) -> None:
    """Write an entry of Parquet files, in place of any other of that key.

    Two that write the same at once write the same content, and either may win. Raises OSError.
    """
    place.entries.mkdir(parents=True, exist_ok=True)
    with partial_folder(place.entries) as partial:
        files = {}
        for name, content in contents.items():
            (partial / f"{name}.parquet").write_bytes(content)
            files[name] = (len(content), zlib.crc32(content))
        (partial / ABOUT).write_bytes(_sealed(msgspec.structs.replace(about, files=files)))
        _put(partial, place.entries / key)


def remove(folder: Path) -> None:
    """Remove an entry at once for all who look for it; those who read it still may fail."""
    with partial_folder(folder.parent) as aside, suppress(FileNotFoundError):  # another was faster
        folder.rename(aside / folder.name)


def _put(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        remove(folder)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.exists():  # else another has put the same there meanwhile
                raise


def _sealed(about: About) -> bytes:
    body = msgspec.json.encode(about)
    return f"{zlib.crc32(body):08x}\n".encode() + body
