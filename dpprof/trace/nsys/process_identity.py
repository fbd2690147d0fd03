"""Which rank a process of an export is: by NCCL, else by the environment it was started in."""

from __future__ import annotations

import re

from dpprof.trace.nsys.database import NsysTables
from dpprof.trace.nsys.ranges import Ranges

_RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
_SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
_RANK_VARIABLE = re.compile(rf"(?:^|;)({'|'.join((*_RANKS, *_SIZES))})=(\d{{1,6}})(?=;|$)")
_CAPTURED = re.compile(rf'({"|".join((*_RANKS, *_SIZES))})="(\d{{1,6}})"')
_VARIABLE = "PROCESS_0:ENVIRONMENT_VARIABLE"


def distributed(ranges: Ranges, environment: dict[str, int] | None) -> dict[str, object]:
    """Whose trace it is, as Kineto would say: by the job's own communicator, else as launched."""
    known = [
        {"name": one.name, "ranks": one.ranks, "rank": one.rank}
        for one in ranges.communicators.values()
    ]
    said: dict[str, object] = {"communicators": known} if known else {}
    if ranges.world is None:
        setup = {} if ranges.setup is None else {"rank": ranges.setup.rank}
        return said | (environment or {}) | setup
    return said | {"rank": ranges.world.rank, "world_size": ranges.world.ranks}


def launched_as(tables: NsysTables) -> dict[str, int] | None:
    """What the environment that the profiler was started in says of the rank.

    It is that of the profiled process only where each rank has a profiler of its own.
    """
    rows = tables.texts("TARGET_INFO_SYSTEM_ENV", ("name", "value"))
    text = next((str(value) for name, value in rows if name == "DeviceEnvironment"), "")
    found = dict(_RANK_VARIABLE.findall(text))
    for name, value in tables.texts("META_DATA_CAPTURE", ("name", "value")):
        if name == _VARIABLE and (match := _CAPTURED.fullmatch(str(value))):
            found.setdefault(match[1], match[2])
    rank = next((found[name] for name in _RANKS if name in found), None)
    if rank is None:
        return None
    size = next((found[name] for name in _SIZES if name in found), None)
    return {"rank": int(rank)} | ({} if size is None else {"world_size": int(size)})


def host_name(tables: NsysTables) -> str:
    """The name of the machine that was recorded; "" where it is not told."""
    rows = tables.texts("TARGET_INFO_SYSTEM_ENV", ("name", "value"))
    return next((str(value) for name, value in rows if name == "Hostname"), "")
