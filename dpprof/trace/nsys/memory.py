"""What was allocated on the devices, from the events of ``--cuda-memory-usage=true``.

They are cudaMalloc and cudaFree: of a process with torch's allocator, that is what it reserves.
"""

from __future__ import annotations

import numpy as np

from dpprof.trace.nsys.database import MISSING, NsysTables
from dpprof.trace.read.columns import MemoryColumns, no_memory

TABLE = "CUDA_GPU_MEMORY_USAGE_EVENTS"
_ALLOCATION, _RELEASE = 0, 1
_ON_DEVICE = (MISSING, 2, 3, 5)  # unknown to older exports; device, array, device static
_CUDA = 1  # Kineto's number of the device type


def device_memory(tables: NsysTables, process: int, epoch_ns: int) -> MemoryColumns:
    """The allocations of a process, in order of time; totals count from the first event."""
    names = ("start", "globalPid", "deviceId", "bytes", "memKind", "memoryOperationType")
    start, pid, device, size, kind, operation = tables.integers(TABLE, names)
    own = (pid == process) & np.isin(kind, _ON_DEVICE) & (size >= 0)
    own &= np.isin(operation, (_ALLOCATION, _RELEASE))
    rows = np.flatnonzero(own)
    if not len(rows):
        return no_memory()
    rows = rows[np.argsort(start[rows], kind="stable")]
    change = np.where(operation[rows] == _ALLOCATION, size[rows], -size[rows])
    total = np.zeros(len(rows), dtype=np.int64)
    for one in np.unique(device[rows]).tolist():
        mine = device[rows] == one
        running = np.cumsum(change[mine])
        total[mine] = running - min(0, int(running.min()))
    return MemoryColumns(
        at_ns=start[rows] + epoch_ns,
        change_bytes=change,
        allocated_bytes=np.full(len(rows), MISSING, dtype=np.int64),
        reserved_bytes=total,
        address=np.full(len(rows), MISSING, dtype=np.int64),
        device_type=np.full(len(rows), _CUDA, dtype=np.int32),
        device=device[rows].astype(np.int32),
    )
