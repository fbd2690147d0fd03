"""What NCCL says of its calls: the payload of its NVTX ranges, by the schema that is in the file.

A payload is a header (domain, schema, sizes) and fields at the offsets that
``NVTX_PAYLOAD_SCHEMA_ENTRIES`` gives: communicator, message size, peer, and at init the number of
ranks and one's own. Source: exports of schema 3.25.0, Nsight Systems 2026.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpprof.trace.nsys.database import NsysTables
from dpprof.trace.read.columns import Collective

COMMUNICATOR = "NCCL communicator ID"
RANKS, RANK = "No. of ranks", "Rank"
PEER, BYTES = "Peer rank", "Message size [bytes]"

_CALL = re.compile(r"p?nccl(?P<call>[A-Z]\w*)")
_KINETO = {
    "AllReduce": "allreduce",
    "AllGather": "allgather",
    "ReduceScatter": "reduce_scatter",
    "Broadcast": "broadcast",
    "Bcast": "broadcast",
    "Reduce": "reduce",
    "AlltoAll": "all_to_all",
    "AllToAll": "all_to_all",
    "Gather": "gather",
    "Scatter": "scatter",
    "Send": "send",
    "Recv": "recv",
}
"""NCCL's name of a call -> the name that Kineto gives a collective."""

UNKNOWN_RANK = "x"
"""In an edge, for a rank that the process does not know to be its own."""

_HEADER = struct.Struct("<IIIIQQ")
_TYPES = dict(enumerate("bBhHiIqQqQbBhHiIqQ", start=1)) | {22: "Q"}
"""NVTX's number of a type -> how its value is packed: char to u64, and size."""

Schemas = Mapping[tuple[int, int], Mapping[str, tuple[int, str]]]
"""Domain and schema -> field -> its offset in the payload, and how it is packed."""


@dataclass(frozen=True)
class Communicator:
    """An NCCL communicator as one process sees it; `rank` is this process's own in it."""

    id: int
    ranks: int
    rank: int

    @property
    def name(self) -> str:
        """What its operations are grouped by."""
        return group_name(self.id)


def group_name(id: int) -> str:
    """What a communicator's operations are grouped by."""
    return f"nccl:{id:x}"


def read_schemas(tables: NsysTables) -> Schemas:
    """The fields of every payload schema that the file declares, with types that are known.

    A field without an offset lies where C would lay it, behind the one before.
    """
    found: dict[tuple[int, int], dict[str, tuple[int, str]]] = {}
    names = ("domainId", "schemaId", "idx", "type", "name", "offset")
    rows = [
        row
        for row in tables.texts("NVTX_PAYLOAD_SCHEMA_ENTRIES", names)
        if isinstance(row[0], int) and isinstance(row[1], int)
    ]
    behind: dict[tuple[int, int], int] = {}
    for domain, schema, index, type_, name, offset in sorted(rows, key=_in_order):
        key = (int(str(domain)), int(str(schema)))
        packed = _TYPES.get(type_) if isinstance(type_, int) else None
        if packed is None:
            continue
        size = struct.calcsize(packed)
        last = 0 if index == 0 else behind.get(key, 0)
        place = offset if isinstance(offset, int) else -(-last // size) * size
        behind[key] = place + size
        found.setdefault(key, {})[str(name)] = (place, f"<{packed}")
    return found


def _in_order(row: tuple[object, ...]) -> int:
    return row[2] if isinstance(row[2], int) else 0


def fields_of(payload: object, schemas: Schemas) -> dict[str, int]:
    """The values in a payload by name; empty where its form is not known."""
    if not isinstance(payload, bytes) or len(payload) < _HEADER.size:
        return {}
    domain, _, schema, _, _, _ = _HEADER.unpack_from(payload)
    fields = schemas.get((domain, schema), {})
    body = payload[_HEADER.size :]
    return {
        name: struct.unpack_from(packed, body, offset)[0]
        for name, (offset, packed) in fields.items()
        if 0 <= offset <= len(body) - struct.calcsize(packed)
    }


def communicators(payloads: Iterable[Mapping[str, int]]) -> dict[int, Communicator]:
    """The communicators that a process made, by their id."""
    return {
        one[COMMUNICATOR]: Communicator(one[COMMUNICATOR], one[RANKS], one[RANK])
        for one in payloads
        if {COMMUNICATOR, RANKS, RANK} <= one.keys() and one[RANK] < one[RANKS]
    }


def world_of(known: Mapping[int, Communicator]) -> Communicator | None:
    """The largest communicator, whose ranks are the job's; None where two are of that size and
    differ in one's own rank."""
    if not known:
        return None
    most = max(one.ranks for one in known.values())
    largest = [one for one in known.values() if one.ranks == most]
    return largest[0] if len({one.rank for one in largest}) == 1 else None


def call_of(text: str) -> str | None:
    """Kineto's name of the collective that NCCL's call of this name asks for; None for no such."""
    found = _CALL.fullmatch(text)
    return _KINETO.get(found["call"]) if found else None


def collective_of(
    text: str, payload: Mapping[str, int], known: Mapping[int, Communicator]
) -> Collective:
    """What a call of NCCL's says, as Kineto would; its group is the communicator.

    The group of a message is the edge within it, ``nccl:abc/0>1``: which ranks of the job these
    are, only the traces of all of them tell.
    """
    name, id = call_of(text) or "", payload.get(COMMUNICATOR)
    group = "" if id is None else group_name(id)
    if id is not None and PEER in payload:
        mine = str(known[id].rank) if id in known else UNKNOWN_RANK
        ends = (mine, str(payload[PEER]))
        group = f"{group}/{'>'.join(ends if name == 'send' else ends[::-1])}"
    return Collective(
        name=name,
        group=group,
        description="",
        ranks="",
        dtype="Byte",
        elements=payload.get(BYTES, -1),
        source=-1,
        destination=-1,
        sequence=-1,
    )
