"""How much memory reading a trace takes, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path

_PER_BYTE = 5
"""Memory per byte of JSON: the text, its columns and tables. Measured with bench_scale."""

_PROCESS_BYTES = 150_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_COMPRESSION = 12  # of traces, by gzip and zstd; some reach 20
_USABLE_SHARE = 0.6
_UNKNOWN_BYTES = 4 * 1024**3
_CGROUP = Path("/sys/fs/cgroup")


def need_bytes(file: Path) -> int:
    """About the memory that a process takes to read the trace."""
    try:
        return _PROCESS_BYTES + _PER_BYTE * _json_bytes(file)
    except OSError:
        return _PROCESS_BYTES  # it will fail soon enough


def _json_bytes(file: Path) -> int:
    with file.open("rb") as stream:
        magic = stream.read(4)
        size = stream.seek(0, os.SEEK_END)
        if magic == _ZSTD_MAGIC:
            return size * _COMPRESSION
        if not magic.startswith(_GZIP_MAGIC) or size < 18:
            return size
        stream.seek(-4, os.SEEK_END)
        written = int.from_bytes(stream.read(4), "little")  # modulo 2**32, of the last member
    return max(written, size * _COMPRESSION if size > 2**28 else size)


def available_bytes() -> int:
    """What may be taken of the memory that is free now, on this machine and in this container."""
    free = [_meminfo_bytes(), _cgroup_bytes()]
    known = [value for value in free if value is not None]
    return int(_USABLE_SHARE * min(known, default=_UNKNOWN_BYTES))


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
