"""How much memory may be had: on this machine, in this container, by this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_UNKNOWN_BYTES = 4 * 1024**3
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """What this process could take now, of the machine, the container and its own limit."""
    free = [_meminfo_bytes(), _cgroup_bytes(), _limit_bytes()]
    known = [value for value in free if value is not None]
    return min(known, default=_UNKNOWN_BYTES)


def _meminfo_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = {name: value.split()[0] for name, _, value in (one.partition(":") for one in lines)}
    return int(values["MemAvailable"]) * 1024 if "MemAvailable" in values else None


def _cgroup_bytes() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
        return max(0, int(limit) - int(used)) if limit.isdecimal() else None
    except (OSError, ValueError):
        return None


def _limit_bytes() -> int | None:
    """What ``ulimit -v`` leaves."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return limit
    return max(0, limit - pages * os.sysconf("SC_PAGE_SIZE"))
