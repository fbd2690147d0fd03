"""Which rank of which run a trace is: from Kineto's metadata, ours, or the file's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dpprof.runs.manifest import RankPlace, Source
from dpprof.tables.devices import MOST_RANKS, device_row
from dpprof.trace.activities.annotations import held_stages
from dpprof.trace.rank.process_groups import ProcessGroup, listed_ranks
from dpprof.trace.read.columns import TraceColumns

"""No job has more: other numbers are not believed."""

_ANY_HOST = re.compile(
    r"|(?:ip6-)?(?:localhost|loopback)[46]?(?:\..*)?|127\..*|0\.0\.0\.0|::1?|\(none\)|unknown"
    r"|docker-desktop",
    re.IGNORECASE,
)
_LONGEST_NAME = 253  # of a host, by the rules of DNS

Ranks = tuple[int, ...]


class _ProcessGroup(msgspec.Struct):
    pg_name: str = ""
    pg_desc: str = ""
    ranks: list[int] = []


class OwnPlace(msgspec.Struct, frozen=True):
    """An NCCL communicator that the process made: of so many ranks, and its own number in it."""

    name: str
    ranks: int
    rank: int


class _Distributed(msgspec.Struct):
    rank: int | None = None
    world_size: int | None = None
    pg_config: list[_ProcessGroup] = []
    communicators: list[OwnPlace] = []


class _OwnMetadata(msgspec.Struct):
    source: Source | None = None
    device: str = ""
    rank: int | None = None
    pp_rank: int | None = None
    ep_rank: int = 0
    place: RankPlace | None = None
    world_size: int | None = None
    allocated_before_bytes: int = 0
    host: str = ""


@dataclass(frozen=True)
class TraceIdentity:
    """Who a trace is from; None where neither the trace nor the file's name says.

    `groups` maps the name and the description of each process group to its global ranks, as far
    as Kineto lists them and they are unambiguous; `process_groups` are all that it lists.
    """

    rank: int | None
    world_size: int | None
    source: Source | None
    place: RankPlace | None
    allocated_before_bytes: int = 0
    groups: Mapping[str, Ranks] = field(default_factory=dict)
    host: str = ""  # the name of the machine, where the trace says
    device: str = ""  # what the rank computed on, where the trace says
    numbered: bool = False  # the rank is neither in the trace nor called one in the file's name
    process_groups: tuple[ProcessGroup, ...] = ()
    stages: tuple[int, ...] = ()  # that the rank computes, where torch's annotations say
    device_number: int | None = None  # whose rows these are, where the rank has several
    is_first: bool = True  # of the rank's devices
    communicators: tuple[OwnPlace, ...] = ()  # that an Nsight Systems trace tells of

    @property
    def row(self) -> int:
        """The number of the row in every table: the rank, but for its further devices."""
        assert self.rank is not None
        if self.is_first or self.device_number is None:
            return self.rank
        return device_row(self.rank, self.device_number)


def identify(trace: TraceColumns, named: int | None = None) -> TraceIdentity:
    """The identity of a trace; metadata of the wrong form count as absent.

    `named` is the rank in the file's name, which counts where the trace says none.
    """
    distributed = _read(trace.distributed, _Distributed)
    own = _read(trace.dpprof, _OwnMetadata)
    rank = next(filter(_is_rank, (distributed.rank, own.rank, named)), None)
    listed = _listed(trace, distributed)
    place = None
    if own.place is not None and own.place.rank == rank:
        place = own.place
    elif rank is not None and own.pp_rank is not None:
        place = RankPlace(rank=rank, pp_rank=own.pp_rank, ep_rank=own.ep_rank)
    return TraceIdentity(
        rank=rank,
        world_size=_world_size(distributed.world_size) or _world_size(own.world_size),
        source=own.source,
        place=place,
        allocated_before_bytes=own.allocated_before_bytes,
        groups=_by_name(listed),
        process_groups=listed,
        device=own.device,
        host=own.host or _host_name(trace.host_name),
        stages=held_stages(trace.names),
        communicators=tuple(distributed.communicators),
    )


def is_of_one_machine(host: str) -> bool:
    """Whether a host's name tells it from others: every machine is ``localhost`` to itself."""
    return _ANY_HOST.fullmatch(host) is None


def _is_rank(number: int | None) -> bool:
    return number is not None and 0 <= number < MOST_RANKS


def _world_size(size: int | None) -> int | None:
    return size if size is not None and 0 < size <= MOST_RANKS else None


def _host_name(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def _read(value: Any, form: type[Any]) -> Any:
    try:
        return msgspec.convert(value if isinstance(value, dict) else {}, form, strict=False)
    except msgspec.ValidationError:
        return form()


def _listed(trace: TraceColumns, distributed: _Distributed) -> tuple[ProcessGroup, ...]:
    """The groups of the trace's list, and those whose ranks its collectives give."""
    found = [
        ProcessGroup(one.pg_name, _told(one.pg_desc), tuple(sorted(one.ranks)))
        for one in distributed.pg_config
    ]
    for one in trace.collectives:
        if one.ranks and one.group:
            found.append(ProcessGroup(one.group, _told(one.description), listed_ranks(one.ranks)))
    return tuple(dict.fromkeys(group for group in found if group.ranks))


def _told(description: str) -> str:
    return "" if description == "undefined" else description


def _by_name(groups: tuple[ProcessGroup, ...]) -> dict[str, Ranks]:
    found: dict[str, set[Ranks]] = {}
    for group in groups:
        for name in {group.name, group.description} - {""}:
            found.setdefault(name, set()).add(group.ranks)
    return {name: choices.pop() for name, choices in found.items() if len(choices) == 1}
