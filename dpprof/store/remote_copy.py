"""Copies of what lies elsewhere: made once for each version, in the cache.

A copy is made in a process of its own: file systems keep threads, and a process with threads may
not fork to read traces.
"""

from __future__ import annotations

import atexit
import hashlib
import mmap
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from dpprof.errors import DpprofError
from dpprof.runs.workers import may_fork
from dpprof.store.place import COPIED, CacheLocation
from dpprof.store.remote import Place, open_place, said_plainly, without_secrets
from dpprof.store.remote_listing import (
    RemoteFile,
    RemoteListing,
    is_sound_name,
    list_place,
    version_of,
)
from dpprof.system.inputs import BadInput, decode_json, read_regular
from dpprof.system.processes import forked_pool
from dpprof.system.whole import PREFIX, whole_file, working_folder, write_whole

Progress = Callable[[int, int], None]
"""Called with the bytes that are here, and of all."""

_ATTEMPTS = 4
_FIRST_WAIT_SECONDS = 0.5
_CHUNK_BYTES = 4 << 20
_AT_ONCE = 8
_LOOK_SECONDS = 0.1
_SPARE_BYTES = 64 << 20


class _CopyAbout(msgspec.Struct):
    """Of a folder of copies: where they are from, and the version of each file in it."""

    source: str
    versions: dict[str, str]


class Copied(msgspec.Struct, frozen=True):
    """Copies that lie here now: the folder that holds them, and the files of what was asked for.

    `folders` are the names of folders inside the folder that was asked for, if that was one.
    """

    root: Path
    files: tuple[Path, ...]
    is_folder: bool
    folders: tuple[str, ...]


def copy_here(
    address: str,
    wanted: Callable[[str], bool],
    cache: CacheLocation | None,
    progress: Progress | None = None,
) -> Copied:
    """Have what lies at an address here, of a folder the files whose names are `wanted`.

    What is here in the version that lies there is not copied again. Without a cache the copies
    last as long as this process. Raises `DpprofError`.
    """
    base = _temporary() if cache is None else cache.copies
    work = _Work(address, wanted, base)
    if not may_fork():
        return work.run(progress or _ignore)
    counts = mmap.mmap(-1, 16)  # shared with the child
    with forked_pool(1, _inherit, work, counts) as pool:
        if pool is None:
            return work.run(progress or _ignore)
        future = pool.submit(_work_here)
        _follow(future, counts, progress or _ignore)
        return future.result()


def _ignore(done: int, total: int) -> None:
    del done, total


def _temporary() -> Path:
    """A folder for this process: gone when it ends, however that is."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(working_folder())


def _follow(future: Future[Copied], counts: mmap.mmap, progress: Progress) -> None:
    while not wait([future], _LOOK_SECONDS).done:
        done, total = (int.from_bytes(counts[at : at + 8], "little") for at in (0, 8))
        if total:
            progress(done, total)


_inherited: list[Any] = []  # filled in the child only


def _inherit(work: _Work, counts: mmap.mmap) -> None:
    _inherited[:] = [work, counts]


def _work_here() -> Copied:
    work, counts = _inherited

    def note(done: int, total: int) -> None:
        counts[:16] = done.to_bytes(8, "little") + total.to_bytes(8, "little")

    copied: Copied = work.run(note)
    return copied


class _Work:
    """Copies what lies at one address; has state to count the bytes that have come."""

    def __init__(self, address: str, wanted: Callable[[str], bool], base: Path) -> None:
        self._address, self._wanted = address, wanted
        identity = hashlib.sha256(address.encode()).hexdigest()[:24]
        self._home = base / identity
        self._done = self._total = 0

    def run(self, progress: Progress) -> Copied:
        """Copy what is not here yet; raises `DpprofError`."""
        place = open_place(self._address)
        listing = list_place(place, self._wanted)
        root = self._home / self._name(place, listing)
        try:
            self._copy(place, listing, root, progress)
        except OSError as error:
            raise DpprofError(
                f"{without_secrets(self._address)}: cannot be kept in {root} ({error.strerror}); "
                "make room, or choose another folder (DPPROF_CACHE_DIR)"
            ) from error
        files = tuple(root / one.name for one in listing.files)
        return Copied(root, files, listing.is_folder, listing.folders)

    def _name(self, place: Place, listing: RemoteListing) -> str:
        """Of the folder here: that of the folder there, so that the run is called so."""
        parts = [part for part in without_secrets(place.address).split("/") if part]
        name = parts[-1] if listing.is_folder and len(parts) > 1 else "files"
        return name if is_sound_name(name) else "files"

    def _copy(self, place: Place, listing: RemoteListing, root: Path, progress: Progress) -> None:
        known = _about(self._home).versions
        root.mkdir(parents=True, exist_ok=True)
        missing = [one for one in listing.files if not _is_here(root, one, known)]
        self._total = sum(one.size or 0 for one in missing)
        self._check_room()
        self._remove_others(root, listing)
        about = _CopyAbout(without_secrets(self._address), {})
        with ThreadPoolExecutor(1 if place.takes_turns else _AT_ONCE) as pool:

            def here(one: RemoteFile) -> None:
                _fetch(place, one, root / one.name, self._count(progress))

            for future in [pool.submit(here, one) for one in missing]:
                future.result()
        about.versions = {one.name: one.version for one in listing.files}
        write_whole(self._home / COPIED, msgspec.json.encode(about))

    def _count(self, progress: Progress) -> Callable[[int], None]:
        def count(more: int) -> None:
            self._done += more  # a lost update would only blur the bar
            progress(self._done, max(self._total, self._done))

        return count

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._home).free
        if self._total + _SPARE_BYTES > free:
            raise DpprofError(
                f"{without_secrets(self._address)}: is {self._total / 1e9:.1f} GB, and "
                f"{self._home} has room for {free / 1e9:.1f} GB; make room, or choose another "
                "folder (DPPROF_CACHE_DIR)"
            )

    def _remove_others(self, root: Path, listing: RemoteListing) -> None:
        """What does not lie there any more is no part of the run."""
        names = {one.name for one in listing.files}
        for file in root.rglob("*"):
            is_made = file.name.startswith(PREFIX)  # by another process, just now
            if file.is_file() and not is_made and file.relative_to(root).as_posix() not in names:
                file.unlink(missing_ok=True)


def _about(home: Path) -> _CopyAbout:
    try:
        return decode_json(read_regular(home / COPIED), _CopyAbout)
    except (OSError, BadInput):
        return _CopyAbout("", {})


def _is_here(root: Path, one: RemoteFile, known: dict[str, str]) -> bool:
    file = root / one.name
    if not one.version or known.get(one.name) != one.version or not file.is_file():
        return False
    return one.size is None or file.stat().st_size == one.size


def _fetch(place: Place, one: RemoteFile, target: Path, count: Callable[[int], None]) -> None:
    """Copy one file, whole or not at all; goes on from where a connection broke."""
    target.parent.mkdir(parents=True, exist_ok=True)
    address = f"{without_secrets(place.address).rstrip('/')}: {one.name}"
    with whole_file(target) as file:
        for attempt in range(_ATTEMPTS):
            try:
                before = _version_there(place, one)
                _read_on(place, one, file, count)
                if _version_there(place, one) == before:
                    return
                _begin_again(file)
                raise ConnectionError("is replaced again and again while it is copied")
            except (FileNotFoundError, PermissionError, ImportError) as error:
                with said_plainly(address):
                    raise error
            except Exception as error:
                if attempt == _ATTEMPTS - 1:
                    with said_plainly(address):
                        raise error
                time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)


def _read_on(place: Place, one: RemoteFile, file: BinaryIO, count: Callable[[int], None]) -> None:
    done = file.tell()
    with place.system.open(one.path, "rb") as source:
        if done:
            done = _resumed(source, file, done)
        while chunk := source.read(_CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            count(len(chunk))
    if one.size is not None and done < one.size:
        raise ConnectionError(f"ended after {done} of {one.size} bytes")


def _version_there(place: Place, one: RemoteFile) -> str:
    place.system.invalidate_cache()
    place.system.invalidate_cache()
    return version_of(place.system.info(one.path))


def _begin_again(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _resumed(source: Any, file: BinaryIO, done: int) -> int:
    """Where to go on; from the beginning where the file system cannot skip."""
    try:
        source.seek(done)
    except (ValueError, OSError, NotImplementedError):
        done = 0
    file.seek(done)
    file.truncate()
    return done
