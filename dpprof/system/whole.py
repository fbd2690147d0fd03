"""Files and folders that are made aside and then are there, whole; and what dead owners left.

Whatever is being made is locked by its maker. The kernel lets go of the lock when the maker ends,
however that was, so the next one that works in the same folder knows what was left behind.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import BinaryIO, NamedTuple

PREFIX, ENDING = ".dpprof-", ".partial"
"""Of what is being made beside its final place."""
_WORK = ".work"
_ATTEMPTS = 100


class _Held(NamedTuple):
    """A file or folder of ours; whoever holds the descriptor open holds its lock."""

    path: Path
    descriptor: int

    def let_go(self) -> None:
        """Remove it, where it is still there."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` when the block ends well, and never else; raises OSError.

    What stands at `path` is replaced at once; a device or a pipe there is written to.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    remove_left_behind(path.parent)
    held = _make(lambda: _new_file(path.parent))
    try:
        with os.fdopen(os.dup(held.descriptor), "wb") as file:
            yield file
        held.path.chmod(_mode_of(path))
        os.replace(held.path, path)  # noqa: PTH105 - atomic on POSIX
    finally:
        held.let_go()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises OSError."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def partial_folder(parent: Path, name: str = "") -> Iterator[Path]:
    """A folder in `parent` to make something in; what is left in it at the end goes.

    With `name`, others can find it: it is `partial_path`. Raises OSError.
    """
    remove_left_behind(parent)
    held = _make(lambda: _new_folder(parent, name))
    try:
        yield held.path
    finally:
        held.let_go()


def partial_path(parent: Path, name: str) -> Path:
    """Where `partial_folder` makes what is called `name`."""
    return parent / f"{PREFIX}{name}{ENDING}"


@contextmanager
def working_folder(prefix: str = "dpprof-") -> Iterator[Path]:
    """A temporary folder that is gone afterwards; those of dead owners go before.

    Raises OSError.
    """
    place = Path(tempfile.gettempdir())
    remove_left_behind(place, prefix, _WORK)
    held = _make(lambda: Path(tempfile.mkdtemp(prefix=prefix, suffix=_WORK)))
    try:
        yield held.path
    finally:
        held.let_go()


def remove_left_behind(parent: Path, prefix: str = PREFIX, ending: str = ENDING) -> None:
    """Remove what is ours in `parent`, was being made, and has no owner any more."""
    try:
        names = [name for name in os.listdir(parent) if name.startswith(prefix)]  # noqa: PTH208
    except OSError:
        return
    for name in names:
        if name.endswith(ending):
            _remove_if_left(parent / name)


def _remove_if_left(path: Path) -> None:
    try:
        found = path.lstat()
        known = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
        if not known or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
            return
        descriptor = _open(path)
    except OSError:
        return
    if _lock(descriptor) is _Lock.OURS and _is_still(path, descriptor):
        _Held(path, descriptor).let_go()
    else:
        os.close(descriptor)


def _make(make: Callable[[], Path]) -> _Held:
    """Make something and lock it; anew where another took it for left behind in between.

    On file systems that know no locks it is made without, and never taken for left behind.
    """
    for _ in range(_ATTEMPTS):
        path = make()
        with suppress(FileNotFoundError):
            descriptor = _open(path)
            if _lock(descriptor) is not _Lock.TAKEN and _is_still(path, descriptor):
                return _Held(path, descriptor)
            os.close(descriptor)
    raise OSError(f"{path}: another process removes what is made there")


class _Lock(Enum):
    OURS = 0
    TAKEN = 1
    UNKNOWN = 2


def _open(path: Path) -> int:
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))


def _lock(descriptor: int) -> _Lock:
    if sys.platform == "win32":
        return _Lock.UNKNOWN
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Lock.TAKEN
    except OSError:
        return _Lock.UNKNOWN
    return _Lock.OURS


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _new_file(parent: Path) -> Path:
    descriptor, path = tempfile.mkstemp(prefix=PREFIX, suffix=ENDING, dir=parent)
    os.close(descriptor)
    return Path(path)


def _new_folder(parent: Path, name: str) -> Path:
    if not name:
        return Path(tempfile.mkdtemp(prefix=PREFIX, suffix=ENDING, dir=parent))
    path = partial_path(parent, name)
    path.mkdir()
    return path


def _mode_of(path: Path) -> int:
    """The mode of the file that is replaced, else what a new one gets (mkstemp's is private)."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
