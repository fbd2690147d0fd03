"""Names and types of the columns of every table; the only file that spells them.

In integer columns -1 means "not known"; in text columns the empty string does.
"""

from __future__ import annotations

from functools import cache

import pandas as pd

RANK = "rank"
STAGE = "stage"
LANE = "lane"
START = "start_ns"
END = "end_ns"
KIND = "kind"
NAME = "name"
STEP = "step"
SLOT = "slot"
OPERATION = "operation"
DIRECTION = "direction"
MICRO_BATCH = "micro_batch"
PART = "part"
COMPONENT = "component"
LAYER = "layer"
GROUP = "group"
PEER = "peer"
BYTES = "bytes"
SEQUENCE = "sequence"
CORRELATION = "correlation"
LAUNCH = "launch_ns"
READY = "ready_ns"

EVENTS: dict[str, str] = {
    RANK: "int32",  # global rank
    STAGE: "int32",  # pipeline stage
    LANE: "category",  # "stream 7", or a thread's name on a CPU run
    START: "int64",
    END: "int64",
    KIND: "category",  # one of dpprof.tables.kinds.KINDS
    NAME: "category",  # the kernel's or the label's name
    STEP: "int32",  # the step whose range launched it; -1 outside every step
    SLOT: "category",  # text of the schedule slot: "F0.3&B1.2"
    OPERATION: "category",  # operation of the slot: F, B, I, W, F&B
    DIRECTION: "int32",  # of the action within the slot
    MICRO_BATCH: "int32",  # of the action within the slot
    PART: "category",  # F, I or W: which part of the action
    COMPONENT: "category",  # attention, dispatch, mlp, combine, output, ...
    LAYER: "int32",  # within the chunk
    GROUP: "category",  # process group, or "0>1" for a pipeline edge between global ranks
    PEER: "int32",  # the other global rank of a p2p message
    BYTES: "int64",
    SEQUENCE: "int64",  # number of the operation within its group and step
    CORRELATION: "int64",  # ties GPU work to its launch
    LAUNCH: "int64",  # start of the call that launched it
    READY: "int64",  # communication: when the last participant had started; -1 where unsplit
}
"""One row per device activity; the same table for captured traces and simulated schedules."""

SLOTS: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    START: "int64",
    END: "int64",
    SLOT: "category",
    OPERATION: "category",
}
"""One row per schedule slot that ran: from its first component to its last, communication too."""

AT = "at_ns"
ALLOCATED = "allocated_bytes"
RESERVED = "reserved_bytes"
PARAMETERS = "parameter_bytes"
GRADIENTS = "gradient_bytes"
OPTIMIZER_STATE = "optimizer_bytes"
ACTIVATIONS = "activation_bytes"
COMMUNICATION_BUFFERS = "communication_bytes"

MEMORY: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    AT: "int64",
    ALLOCATED: "int64",  # bytes allocated from this instant on
    RESERVED: "int64",  # bytes reserved from the device from this instant on; -1 on a CPU
    # What the allocated bytes are for, from a memory snapshot; what is left is anything else.
    PARAMETERS: "int64",
    GRADIENTS: "int64",
    OPTIMIZER_STATE: "int64",
    ACTIVATIONS: "int64",
    COMMUNICATION_BUFFERS: "int64",
}
"""The memory curve: one row per change."""

STEPS: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    START: "int64",  # the mark's range on the CPU, not the step window
    END: "int64",
}
"""One row per rank and marked step."""

HOST_SPANS: dict[str, str] = {
    RANK: "int32",
    START: "int64",
    END: "int64",
    NAME: "category",  # as the trace has it
}
"""What the host of a rank did beside launching: data loading, optimizer, checkpoint, evaluation."""

WAITING = "waiting"
AWAITED = "awaited"

WAITS: dict[str, str] = {
    RANK: "int32",
    WAITING: "int64",  # position among the events of the rank, in the order of its file
    AWAITED: "int64",  # the same, of what has to be done before
}
"""One row per pair of activities of which one waits for the other on another stream."""

SHIFT = "shift_ns"
DRIFT = "drift_ppm"
FROM = "from_ns"
RESIDUAL = "residual_ns"
MATCHED = "matched"
CONTRADICTED = "contradicted"

CLOCKS: dict[str, str] = {
    RANK: "int32",
    SHIFT: "int64",  # added to the rank's time FROM
    DRIFT: "float64",  # parts per million added on top for each nanosecond since FROM
    FROM: "int64",
    RESIDUAL: "int64",  # the clock is right to plus or minus this; -1 where nothing bounds it
    MATCHED: "int64",  # communications of the rank that were compared
    CONTRADICTED: "int64",  # of these, how many contradicted causality before the correction
}
"""One row per rank whose clock was checked against others that contradict it."""

STATE = "state"
PHASE = "phase"
CAUSE_KIND = "cause_kind"
CAUSE = "cause"
CAUSE_RANK = "cause_rank"
CAUSE_GROUP = "cause_group"

REGIONS: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    START: "int64",
    END: "int64",
    STATE: "category",  # one of the bubble states
    PHASE: "category",  # warmup, steady, cooldown
    CAUSE_KIND: "category",  # input, receiver, collective, launch, host
    CAUSE: "string",  # the action, collective, kernel or host span waited for
    CAUSE_RANK: "int32",  # the rank waited for
    CAUSE_GROUP: "category",  # of the communication waited for
    SLOT: "category",  # the slot that could not start
}
"""One row per bubble region: a maximal interval of one bubble state."""


WHY = "why"

PATH: dict[str, str] = {
    STEP: "int32",
    RANK: "int32",
    LANE: "category",
    START: "int64",
    END: "int64",
    KIND: "category",  # of the activity; "host" and "idle" between activities
    SLOT: "category",
    NAME: "category",
    WHY: "string",  # why the next piece could not start before this one ended
}
"""One row per piece of a critical path; they cover each step window exactly."""


COUNT = "count"
TOTAL = "total_ns"
HIDDEN = "hidden_ns"
EXPOSED = "exposed_ns"
WAIT = "wait_ns"

EXPOSURE: dict[str, str] = {
    RANK: "int32",
    STAGE: "int32",
    KIND: "category",
    NAME: "category",
    OPERATION: "category",
    DIRECTION: "int32",
    MICRO_BATCH: "int32",
    PART: "category",
    COMPONENT: "category",
    LAYER: "int32",
    COUNT: "int64",  # operations, over the used steps
    TOTAL: "int64",  # hidden and exposed
    HIDDEN: "int64",
    EXPOSED: "int64",
    WAIT: "int64",  # of the operations where it is told from transferring; -1 where none is
}
"""One row per rank and communication operation that is told apart, over the used steps."""

NUMBER = "number"

OPERATIONS: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    NUMBER: "int32",  # among the events of the rank that start at the same time
    STAGE: "int32",
    LANE: "category",
    START: "int64",
    END: "int64",
    SLOT: "category",
    **{name: dtype for name, dtype in EXPOSURE.items() if name not in (RANK, STAGE, COUNT)},
}
"""One row per communication operation, with what of its transfer computing hid."""

CHUNKS = "chunks"

IN_FLIGHT: dict[str, str] = {
    RANK: "int32",
    STEP: "int32",
    AT: "int64",
    DIRECTION: "int32",
    CHUNKS: "int64",  # held from this instant on
}
"""Chunks whose activations a rank holds: one row per change and direction."""


def empty_table(columns: dict[str, str]) -> pd.DataFrame:
    """A table without rows that has the right columns and types."""
    return _empty(tuple(columns.items())).copy(deep=False)


@cache
def _empty(columns: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns})


def make_table(columns: dict[str, str], values: dict[str, object]) -> pd.DataFrame:
    """Build a table from columns of values; columns that are left out are "not known".

    Raises ValueError for a column that the table does not have.
    """
    unknown = values.keys() - columns.keys()
    if unknown:
        raise ValueError(f"no such column: {', '.join(sorted(unknown))}")
    frame = pd.DataFrame(values)
    for name, dtype in columns.items():
        if name not in frame:
            frame[name] = -1 if dtype.startswith("int") else ""
    return frame[list(columns)].astype(columns)
