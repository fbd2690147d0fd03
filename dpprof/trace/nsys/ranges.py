"""NVTX ranges as annotations, operators, step marks and NCCL's calls."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dpprof.trace.nsys.database import MISSING, Integers, NsysTables
from dpprof.trace.nsys.nccl import (
    BYTES,
    COMMUNICATOR,
    PEER,
    Communicator,
    Schemas,
    communicators,
    fields_of,
    read_schemas,
    world_of,
)
from dpprof.trace.read.columns import Category, Collective

_TABLE = "NVTX_EVENTS"
_PUSH_POP, _START_END, _DOMAIN = 59, 60, 75
_NCCL_DOMAIN = "NCCL"
_EMIT_NVTX = re.compile(r"(?P<name>.+?)(?:, seq = \d+)?, op_id = \d+(?:, .*)?", re.DOTALL)
"""How ``torch.autograd.profiler.emit_nvtx`` writes an operator."""

_STEP = re.compile(
    r"(?:train(?:ing)?[ _-]?)?(?:iteration|iter|step)[ _#:-]*(\d{1,9})", re.IGNORECASE
)
_NCCL_CALL = re.compile(r"nccl(?P<call>[A-Z]\w*)")
_KINETO = {
    "AllReduce": "allreduce",
    "AllGather": "allgather",
    "ReduceScatter": "reduce_scatter",
    "Broadcast": "broadcast",
    "Bcast": "broadcast",
    "Reduce": "reduce",
    "AlltoAll": "all_to_all",
    "Gather": "gather",
    "Scatter": "scatter",
    "Send": "send",
    "Recv": "recv",
}
"""NCCL's name of a call -> the name that Kineto gives a collective."""


@dataclass(frozen=True)
class Ranges:
    """NVTX ranges of one process; `collective` is a position in `collectives`, -1 for none."""

    thread: Integers  # globalTid
    start_ns: Integers
    end_ns: Integers
    category: Integers
    name: Integers  # a position in `names`
    collective: Integers
    names: tuple[str, ...]
    collectives: tuple[Collective, ...]
    world: Communicator | None


@dataclass(frozen=True)
class RangeRows:
    """The rows of ``NVTX_EVENTS`` of all processes, by start."""

    numbers: Integers  # a row each: start, end, globalTid, eventType, domainId
    text: list[str]
    payload: list[object]
    schemas: Schemas


def read_rows(tables: NsysTables, strings: dict[int, str]) -> RangeRows:
    """The rows of all processes; those without a start or a thread are left out."""
    columns = ("start", "end", "globalTid", "eventType", "domainId", "textId", "text", "binaryData")
    rows = tables.texts(_TABLE, columns)
    found = [row for row in rows if isinstance(row[0], int) and isinstance(row[2], int)]
    tables.skipped += len(rows) - len(found)
    numbers = np.array(
        [[one if isinstance(one, int) else MISSING for one in row[:5]] for row in found],
        dtype=np.int64,
    ).reshape(-1, 5)
    order = np.argsort(numbers[:, 0], kind="stable")
    found = [found[row] for row in order.tolist()]
    return RangeRows(
        numbers[order],
        [_text(row[6], row[5], strings) for row in found],
        [row[7] for row in found],
        read_schemas(tables),
    )


def ranges_of(rows: RangeRows, process: int) -> Ranges:
    """The ranges that threads of `process` (a globalPid) pushed or started, and that ended."""
    own = np.flatnonzero(rows.numbers[:, 2] >> 24 == process >> 24)
    text = [rows.text[row] for row in own.tolist()]
    payloads = [fields_of(rows.payload[row], rows.schemas) for row in own.tolist()]
    start, end, thread, kind, domain = rows.numbers[own].T
    known = communicators(payloads)
    table: dict[Collective, int] = {}
    counts: dict[str, int] = {}
    codes = np.full(len(own), MISSING, dtype=np.int64)
    for row in np.flatnonzero(np.isin(domain, _nccl_domains(rows))).tolist():
        said = _collective(text[row], payloads[row], known, counts)
        if said is not None:
            codes[row] = table.setdefault(said, len(table))
    shown = np.isin(kind, (_PUSH_POP, _START_END)) & (end >= start)
    titles = {one: _title(one) for one in set(text)}
    names = {title: code for code, title in enumerate(sorted({one for one, _ in titles.values()}))}
    return Ranges(
        thread=thread[shown],
        start_ns=start[shown],
        end_ns=end[shown],
        category=np.array([int(titles[one][1]) for one in text], dtype=np.int64)[shown],
        name=np.array([names[titles[one][0]] for one in text], dtype=np.int64)[shown],
        collective=codes[shown],
        names=tuple(names),
        collectives=tuple(table),
        world=world_of(known),
    )


def _text(inline: object, id: object, strings: dict[int, str]) -> str:
    if isinstance(inline, str):
        return inline
    return strings.get(id, "") if isinstance(id, int) else ""


def _nccl_domains(rows: RangeRows) -> list[int]:
    """The domains that NCCL made: by their name, else by the calls that stand in them."""
    kinds, domains = rows.numbers[:, 3].tolist(), rows.numbers[:, 4].tolist()
    found = {
        domain
        for kind, domain, text, payload in zip(kinds, domains, rows.text, rows.payload, strict=True)
        if (kind == _DOMAIN and text == _NCCL_DOMAIN)
        or (kind != _DOMAIN and payload is not None and _NCCL_CALL.fullmatch(text))
    }
    return sorted(found)


def _collective(
    text: str,
    payload: dict[str, int],
    known: dict[int, Communicator],
    counts: dict[str, int],
) -> Collective | None:
    """What a range of NCCL's says, as Kineto would; operations of a communicator are counted.

    A peer is a rank of the communicator: it is given only where that is the whole job's.
    """
    found = _NCCL_CALL.fullmatch(text)
    name = _KINETO.get(found["call"]) if found else None
    if name is None:
        return None
    id = payload.get(COMMUNICATOR)
    communicator = None if id is None else known.get(id)
    group = "" if id is None else f"nccl {id:x}"
    number = counts.get(group, 0)
    counts[group] = number + 1
    source = destination = -1
    world = world_of(known)
    if communicator is not None and communicator == world and PEER in payload:
        ends = (communicator.rank, payload[PEER])
        source, destination = ends if name == "send" else ends[::-1]
    return Collective(
        name=name,
        group=group,
        description="",
        ranks="",
        dtype="Byte",
        elements=payload.get(BYTES, -1),
        source=source,
        destination=destination,
        sequence=number if group else -1,
    )


def _title(text: str) -> tuple[str, Category]:
    """What a range is called here, and what it is."""
    if found := _EMIT_NVTX.fullmatch(text):
        return found["name"], Category.OPERATOR
    if found := _STEP.fullmatch(text):
        return f"ProfilerStep#{int(found[1])}", Category.ANNOTATION
    return text, Category.ANNOTATION
