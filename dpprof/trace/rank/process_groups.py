"""The process groups that a trace lists, and which ranks their members' numbers stand for.

``c10d`` and NCCL count the peers of a message within its group; some writers give numbers of all
ranks. A number that both would read alike is no question; else what only one of the two can mean,
anywhere in the trace, says which of them wrote it. Where that leaves two readings, none is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from dpprof.trace.read.columns import Collective

Ranks = tuple[int, ...]

UNKNOWN = -1


@dataclass(frozen=True)
class ProcessGroup:
    """A group as a trace lists it: name, description, global ranks in order; "" where not told."""

    name: str
    description: str
    ranks: Ranks


def listed_ranks(text: str) -> Ranks:
    """The ranks in ``[0, 1, 2]``; none where the list was shortened."""
    try:
        ranks = msgspec.json.decode(text or "[]", type=list[int])
    except msgspec.DecodeError:
        return ()
    return tuple(sorted(ranks))


_BY_RANKS = "ranks "


def ranks_text(ranks: Ranks) -> str:
    """A name for the group of these ranks: ``ranks 0-3,8``."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return _BY_RANKS + ",".join(parts)


def ranks_in(group: str) -> Ranks:
    """The ranks that `ranks_text` names; none where the group has another name."""
    if not group.startswith(_BY_RANKS):
        return ()
    found: list[int] = []
    for part in group.removeprefix(_BY_RANKS).split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return ()
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


@dataclass(frozen=True)
class OwnGroups:
    """The groups that `rank` is in, of more than one rank."""

    rank: int
    groups: tuple[ProcessGroup, ...]

    @classmethod
    def of(cls, rank: int, groups: Iterable[ProcessGroup]) -> OwnGroups:
        """Those among `groups`."""
        own = (group for group in groups if rank in group.ranks and len(group.ranks) > 1)
        return cls(rank, tuple(own))

    def sets(self, name: str = "", description: str = "", size: int = -1) -> frozenset[Ranks]:
        """The sets of ranks that a group of this name, description and size may have.

        What is not told ("" and -1) rules none out; a name or description that is not listed
        gives none.
        """
        return frozenset(
            group.ranks
            for group in self.groups
            if (not name or group.name == name)
            and (not description or group.description == description)
            and (size < 0 or len(group.ranks) == size)
        )

    def sets_of(self, one: Collective) -> frozenset[Ranks]:
        """The sets of ranks that a collective may be over, as far as its words tell."""
        written = listed_ranks(one.ranks)
        if written:
            return frozenset({written})
        if one.group:
            return self.sets(name=one.group, size=one.size)
        by_description = self.sets(description=one.description, size=one.size)
        return by_description or self.sets(size=one.size)

    def named(self, one: Collective) -> str:
        """The name of its group; where none is told, its ranks, if its other words single them out.

        Without any word of it the group is "" (`dpprof.trace.match.bare_order` may find it).
        """
        if one.group or (not one.description and one.size < 0 and not one.ranks):
            return one.group
        sets = self.sets_of(one)
        return ranks_text(next(iter(sets))) if len(sets) == 1 else ""


class PeerNumbers:
    """Reads the numbers of peers in one trace; looks at all of them once, to see how it counts."""

    def __init__(self, own: OwnGroups, collectives: Sequence[Collective]) -> None:
        self._own = own
        styles = {style for one in collectives for style in self._styles(one)}
        self._local, self._global = "local" in styles, "global" in styles

    def peer(self, one: Collective) -> int:
        """The global rank of the other end of a message; `UNKNOWN` where it is not certain."""
        number = max(one.source, one.destination)
        if number < 0:
            return UNKNOWN
        if not self._own.groups and not one.ranks:
            return number  # no group is listed: nothing speaks against numbers of all ranks
        found = {self._reading(number, ranks, one) for ranks in self._own.sets_of(one)}
        return found.pop() if len(found) == 1 else UNKNOWN

    def _reading(self, number: int, ranks: Ranks, one: Collective) -> int:
        local, everywhere = self._readings(number, ranks)
        if one.tag >= 0 or everywhere == UNKNOWN:  # c10d's own call counts within the group
            return local
        if local in (UNKNOWN, everywhere):
            return everywhere
        if self._local != self._global:
            return local if self._local else everywhere
        return UNKNOWN

    def _readings(self, number: int, ranks: Ranks) -> tuple[int, int]:
        """The peer if the number counts within the group, and if it counts all ranks."""
        local = ranks[number] if number < len(ranks) else UNKNOWN
        everywhere = number if number in ranks else UNKNOWN
        mine = self._own.rank
        return (
            local if local != mine else UNKNOWN,
            everywhere if everywhere != mine else UNKNOWN,
        )

    def _styles(self, one: Collective) -> Iterable[str]:
        """The style of counting that a message's number shows, where it shows any."""
        number, sets = max(one.source, one.destination), self._own.sets_of(one)
        if number < 0 or one.tag >= 0 or len(sets) != 1:
            return
        local, everywhere = self._readings(number, next(iter(sets)))
        if local != UNKNOWN and everywhere == UNKNOWN:
            yield "local"
        if everywhere != UNKNOWN and local == UNKNOWN:
            yield "global"


def peer_in_words(own: OwnGroups, mine: int, peer: int) -> int:
    """The global rank of `peer`, where a group's member `mine` is this rank; else `UNKNOWN`.

    NCCL's words (``nccl:send 0->1``) count within a group that they do not name.
    """
    if not own.groups:
        return peer if mine == own.rank else UNKNOWN
    found = {
        ranks[peer]
        for ranks in own.sets()
        if max(mine, peer) < len(ranks) and ranks[mine] == own.rank and mine != peer
    }
    return found.pop() if len(found) == 1 else UNKNOWN
