"""What NCCL says of its calls: the payload of its NVTX ranges, by the schema that is in the file.

A payload is a header (domain, schema, sizes) and fields at the offsets that
``NVTX_PAYLOAD_SCHEMA_ENTRIES`` gives: communicator, message size, peer, and at init the number of
ranks and one's own. Source: exports of schema 3.25.0, Nsight Systems 2026.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpprof.trace.nsys.database import NsysTables

COMMUNICATOR = "NCCL communicator ID"
RANKS, RANK = "No. of ranks", "Rank"
PEER, BYTES = "Peer rank", "Message size [bytes]"

_HEADER = struct.Struct("<IIIIQQ")
_TYPES = {5: "<I", 6: "<i", 18: "<Q", 22: "<Q"}
"""NVTX's number of a type -> how its value is packed: u32, i32, u64 (an id), u64 (a size)."""

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
        return f"nccl {self.id:x}"


def read_schemas(tables: NsysTables) -> Schemas:
    """The fields of every payload schema that the file declares, with types that are known."""
    found: dict[tuple[int, int], dict[str, tuple[int, str]]] = {}
    names = ("domainId", "schemaId", "type", "name", "offset")
    for domain, schema, type_, name, offset in tables.texts("NVTX_PAYLOAD_SCHEMA_ENTRIES", names):
        packed = _TYPES.get(type_) if isinstance(type_, int) else None
        if packed is None or not isinstance(domain, int) or not isinstance(schema, int):
            continue
        place = offset if isinstance(offset, int) else 0
        found.setdefault((domain, schema), {})[str(name)] = (place, packed)
    return found


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
