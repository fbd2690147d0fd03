"""Where the cache is and how big it may grow."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dpprof.config.load import load_config
from dpprof.config.settings import CacheSettings
from dpprof.errors import DpprofError
from dpprof.system.optional import has_parquet

DEFAULT_LIMIT_BYTES = 20 * 1024**3
FORMAT = "1"
"""Of the folder's layout; another number is another folder."""

COPIED = "about.json"
"""In a folder of copies, what they are copies of; its time says when they were last used."""


@dataclass(frozen=True)
class CacheLocation:
    """A cache folder (which need not exist yet) and the size that it is kept below."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    @property
    def entries(self) -> Path:
        """The folder that holds one folder per entry."""
        return self.folder / f"ranks-{FORMAT}"

    @property
    def copies(self) -> Path:
        """The folder that holds one folder per address that was read from."""
        return self.folder / f"remote-{FORMAT}"


def find_place() -> CacheLocation | None:
    """The cache that is configured, or the user's; None where it is off or the user has no home.

    Without the extra ``parquet`` there is none: `dpprof[parquet]` brings it.

    ``DPPROF_CACHE=off`` switches it off, ``DPPROF_CACHE_DIR`` moves it, ``DPPROF_CACHE_LIMIT``
    bounds it (20 GiB); the same keys are in the file (``[cache]``).
    """
    settings = load_config().cache
    try:
        return _place(settings) if settings.enabled and has_parquet() else None
    except RuntimeError:  # no HOME, and a user whom the system does not know
        return None


def any_place() -> CacheLocation:
    """The cache that is configured, or the user's, whether switched on or not.

    Raises `DpprofError` for a user without a home.
    """
    try:
        return _place(load_config().cache)
    except RuntimeError as error:
        raise DpprofError(f"no cache: {error} Say where with DPPROF_CACHE_DIR") from error


def _place(settings: CacheSettings) -> CacheLocation:
    limit = DEFAULT_LIMIT_BYTES if settings.limit_bytes is None else settings.limit_bytes
    return CacheLocation(settings.folder or _user_folder(), limit)


def _user_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base and Path(base).is_absolute():  # the XDG standard: others are to be ignored
        return Path(base) / "dpprof"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "dpprof" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dpprof"
    return Path.home() / ".cache" / "dpprof"
