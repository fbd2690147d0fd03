"""Which files lie at an address, and which version of each."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from dpprof.errors import DpprofError
from dpprof.store.remote import Place, said_plainly, without_secrets

_MOST_FILES = 20_000
_AT_ONCE = 8
_VERSION_KEYS = (
    *("ETag", "etag", "checksum", "md5Hash", "crc32c", "blob_id", "generation", "VersionId"),
    *("Content-MD5", "Digest", "LastModified", "Last-Modified", "last_modified", "mtime"),
    *("modified", "updated", "created"),
)


class RemoteFile(NamedTuple):
    """A file there: its path on the file system, its name below what was asked for, its version.

    `size` is None where it is not told; `version` is empty where nothing tells one from another.
    """

    path: str
    name: str
    size: int | None
    version: str


class RemoteListing(NamedTuple):
    """What lies at an address: one file, or those of a folder or a pattern."""

    files: tuple[RemoteFile, ...]
    is_folder: bool
    folders: tuple[str, ...] = ()
    """Names of the folders inside a folder."""


def list_place(place: Place, wanted: Callable[[str], bool]) -> RemoteListing:
    """What lies there; of a folder only files whose names are `wanted`. Raises `DpprofError`."""
    with said_plainly(place.address):
        place.system.invalidate_cache()  # what lies there now, not what lay there before
        if _is_pattern(place):
            return _matching(place)
        if not (place.is_http and place.path.endswith("/")):
            info = place.system.info(place.path)
            if info["type"] == "file":
                return RemoteListing((_file(info, PurePosixPath(_name_in(place)).name),), False)
        return _inside(place, wanted)


def _name_in(place: Place) -> str:
    return without_secrets(place.path) if place.is_http else place.path


def _is_pattern(place: Place) -> bool:
    """Whether there are wildcards; a question mark begins a query on the web."""
    return glob.has_magic(place.path.replace("?", "") if place.is_http else place.path)


def _matching(place: Place) -> RemoteListing:
    found = place.system.glob(place.path, detail=True)
    infos = [info for info in found.values() if info["type"] == "file"]
    if not infos:
        raise FileNotFoundError(place.path)
    fixed = PurePosixPath(place.path).parts
    depth = next(at for at, part in enumerate(fixed) if glob.has_magic(part))
    files = [
        _file(info, "/".join(PurePosixPath(_key(info, place)).parts[depth:])) for info in infos
    ]
    return RemoteListing(_checked(files, place), False)


def _inside(place: Place, wanted: Callable[[str], bool]) -> RemoteListing:
    root = place.path.rstrip("/") + "/"
    found, folders = [], []
    for info in place.system.ls(place.path, detail=True):
        key = _key(info, place)
        name = key.removeprefix(root).rstrip("/")
        if not key.startswith(root) or "/" in name:
            continue  # a page of links may lead anywhere
        if info["type"] == "directory" or key.endswith("/"):
            folders.append(name)
        elif wanted(name):
            found.append((info, name))
    if place.is_http:  # links say nothing of what they lead to
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            infos = pool.map(place.system.info, [str(info["name"]) for info, _ in found])
            found = [(info, name) for info, (_, name) in zip(infos, found, strict=True)]
    files = [_file(info, name) for info, name in found]
    return RemoteListing(_checked(files, place), True, tuple(sorted(folders)))


def _key(info: Mapping[str, Any], place: Place) -> str:
    name = str(info["name"])
    return without_secrets(name) if place.is_http else name


def _file(info: Mapping[str, Any], name: str) -> RemoteFile:
    size = info.get("size")
    whole = size if isinstance(size, int) else None
    return RemoteFile(str(info["name"]), name, whole, version_of(info))


def version_of(info: Mapping[str, Any]) -> str:
    """What tells this content of a file from any other that lay there; empty where nothing does."""
    told = [f"{key}={info[key]}" for key in _VERSION_KEYS if info.get(key) is not None]
    return f"{info.get('size')} {' '.join(told)}" if told else ""


def _checked(files: Sequence[RemoteFile], place: Place) -> tuple[RemoteFile, ...]:
    """Names become those of files here, so they may be nothing but names."""
    if len(files) > _MOST_FILES:
        raise DpprofError(
            f"{without_secrets(place.address)}: holds {len(files)} files; name fewer of them"
        )
    sound = [one for one in files if is_sound_name(one.name)]
    return tuple(sorted(sound, key=lambda one: one.name))


def is_sound_name(name: str) -> bool:
    """Whether a name leads to a file below a folder, and nowhere else."""
    parts = name.split("/")
    inner = all(part not in ("", ".", "..") and len(part.encode()) < 250 for part in parts)
    return inner and not any(mark in name for mark in "\\\0")
