"""Host rows alone, of a job that had devices: their time is no stand-in for the devices'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dpprof.evidence.evidence import DEVICE_TIME, STEP_TIME
from dpprof.trace.activities.faults import Fault
from dpprof.trace.read.columns import Category, TraceColumns

NO_DEVICE = "no-device-activity"
_ON_CUDA = 1  # "Device Type" of Kineto's memory events; a CPU's is 0


def only_hosts(trace: TraceColumns) -> list[Fault]:
    """A fault where the process had devices of which nothing was recorded.

    Not of our own runs, which say themselves that they ran on a CPU. A trace without device work
    has this fault where anything in it is of a device: its properties, calls of its runtime, its
    memory, or spans of NCCL, which knows no other. That a job has NCCL as its backend says nothing
    of what was profiled.
    """
    if trace.dpprof is not None or not len(trace.rows(Category.OPERATOR)):
        return []
    signs = list(_signs(trace))
    if not signs:
        return []
    count = signs[0][0]
    words = (
        f"{', '.join(words for _, words in signs)} and no kernel in the trace: only the host was "
        "recorded, and its time is no stand-in for that of a device; profile again with the "
        "device's activities, or hide the devices from a run on the CPU"
    )
    return [Fault(NO_DEVICE, count, count, (*DEVICE_TIME, *STEP_TIME), words)]


def _signs(trace: TraceColumns) -> Iterator[tuple[int, str]]:
    """What shows that there was a device: how many, and in words."""
    if isinstance(trace.devices, list) and trace.devices:
        yield len(trace.devices), f"{len(trace.devices)} devices (deviceProperties)"
    if calls := len(trace.rows(Category.LAUNCH, Category.SYNC)):
        yield calls, f"{calls} calls of the device's runtime"
    by_nccl = np.array([name.startswith("nccl:") for name in trace.names], dtype=bool)
    rows = trace.rows(Category.ANNOTATION, Category.OPERATOR)
    if spans := int(by_nccl[trace.name[rows]].sum()):
        yield spans, f"{spans} communications of NCCL"
    if changes := int((trace.memory.device_type == _ON_CUDA).sum()):
        yield changes, f"{changes} changes of the device's memory"
