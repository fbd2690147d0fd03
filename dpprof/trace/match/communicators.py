"""Ranks of the job for the ranks within NCCL's communicators, from the traces of all of them.

A call of NCCL's names its communicator and a peer within it; which rank of the job that is, only
those who made the communicator tell, each of itself. Where it was made before the recording
began, nobody does: torch numbers the ranks of a group in ascending order, and that is taken where
every message then has two ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dpprof.tables.columns import GROUP, KIND, PEER
from dpprof.tables.edges import BATCH_SEPARATOR, NUMBER_MARK, InnerEdge, edge_of, inner_edge
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.rank.process_groups import ProcessGroup
from dpprof.trace.rank.rank_part import RankPart

_PREFIX = "nccl:"
_P2P = COMMUNICATION_KINDS[0]

Members = Mapping[str, tuple[int, ...]]
"""Communicator -> the ranks of the job that are its ranks 0, 1, ..."""


def with_members(parts: Sequence[RankPart]) -> tuple[list[RankPart], list[str]]:
    """The parts with ranks of the job in place of those within communicators, and a word on it.

    Communicators that are not known stay as they are: nothing is matched by their messages.
    """
    used = {part.rank: _edges(part) for part in parts}
    groups = {part.rank: _groups(part) for part in parts}
    if not any(used.values()) and not any(groups.values()):
        return list(parts), []
    made = _made(parts)
    guessed = _in_order(used, {one for part in parts for one in _names(part)} - set(made), groups)
    members = {**made, **guessed}
    several = _connecting_several(used.values(), members)
    words = []
    if guessed:
        words.append(
            f"{len(guessed)} NCCL communicators were made before the recording began: their ranks "
            "are taken in the order of the job's, as torch.distributed makes them"
        )
    return [_resolved(part, members, several) for part in parts], words


def _groups(part: RankPart) -> set[str]:
    return {str(one) for one in part.communications[GROUP].unique() if str(one).startswith(_PREFIX)}


def _edges(part: RankPart) -> Counter[InnerEdge]:
    """How many messages of the part run along each edge within a communicator."""
    counts: Counter[InnerEdge] = Counter()
    for text, count in part.communications[GROUP].value_counts().items():
        for one, _ in _messages(str(text)):
            edge = inner_edge(one)
            if edge is not None:
                counts[edge] += int(count)
    return counts


def _messages(group: str) -> list[tuple[str, str]]:
    """The edges of a group, or of a batch of several, each with the mark of its number."""
    parts = group.split(BATCH_SEPARATOR) if NUMBER_MARK in group else [group]
    return [
        (one.partition(NUMBER_MARK)[0], "".join(one.partition(NUMBER_MARK)[1:])) for one in parts
    ]


def _names(part: RankPart) -> set[str]:
    edges = {edge.communicator for edge in _edges(part)}
    return edges | {one for one in _groups(part) if ">" not in one}


def _made(parts: Sequence[RankPart]) -> dict[str, tuple[int, ...]]:
    """The communicators of which every rank says which it is."""
    known: dict[tuple[str, int], dict[int, set[int]]] = {}
    for part in parts:
        for one in part.identity.communicators:
            places = known.setdefault((one.name, one.ranks), {})
            places.setdefault(one.rank, set()).add(part.rank)
    return {
        name: tuple(next(iter(places[place])) for place in range(size))
        for (name, size), places in known.items()
        if len(places) == size and all(len(ranks) == 1 for ranks in places.values())
    }


def _in_order(
    used: Mapping[int, Counter[InnerEdge]], names: Iterable[str], groups: Mapping[int, set[str]]
) -> dict[str, tuple[int, ...]]:
    """Communicators in whose messages everything fits, with their users in ascending order."""
    found = {}
    for name in sorted(names):
        users = tuple(
            sorted(
                rank
                for rank, edges in used.items()
                if name in groups[rank] or any(edge.communicator == name for edge in edges)
            )
        )
        if _fits(name, users, used):
            found[name] = users
    return found


def _fits(name: str, users: tuple[int, ...], used: Mapping[int, Counter[InnerEdge]]) -> bool:
    """Whether every message along every edge is sent as often as it is received."""
    sent: Counter[tuple[int, int]] = Counter()
    received: Counter[tuple[int, int]] = Counter()
    for place, rank in enumerate(users):
        for edge, count in used[rank].items():
            if edge.communicator != name:
                continue
            if -1 not in (edge.sender, edge.receiver):
                return False  # it knows its own number, and others do not
            if edge.receiver == -1:
                received[edge.sender, place] += count
            else:
                sent[place, edge.receiver] += count
    return bool(sent) and sent == received


def _connecting_several(
    used: Iterable[Counter[InnerEdge]], members: Members
) -> frozenset[tuple[int, int]]:
    """Pairs of ranks that messages of more than one communicator connect."""
    ways: dict[tuple[int, int], set[str]] = {}
    for edges in used:
        for edge in edges:
            ranks = members.get(edge.communicator, ())
            if (
                max(edge.sender, edge.receiver) < len(ranks)
                and min(edge.sender, edge.receiver) >= 0
            ):
                pair = (ranks[edge.sender], ranks[edge.receiver])
                ways.setdefault(pair, set()).add(edge.communicator)
    return frozenset(pair for pair, names in ways.items() if len(names) > 1)


def _resolved(part: RankPart, members: Members, several: frozenset[tuple[int, int]]) -> RankPart:
    texts = part.communications[GROUP].astype(object).to_numpy()
    codes, values = pd.factorize(texts)
    new = [_renamed(str(one), part.rank, members, several) for one in values]
    groups = np.array([*new, ""], dtype=object)[codes]
    peers = np.array([*(_peer(one, part.rank) for one in new), -1], dtype=np.int32)[codes]
    message = (part.communications[KIND] == _P2P).to_numpy(dtype=bool)
    changed = message & (groups != texts)
    communications = part.communications.assign(
        **{PEER: np.where(changed, peers, part.communications[PEER].to_numpy())}
    )
    communications[GROUP] = pd.Categorical(groups)
    listed = tuple(ProcessGroup(name, "", tuple(sorted(ranks))) for name, ranks in members.items())
    identity = replace(
        part.identity,
        groups={**part.identity.groups, **{one.name: one.ranks for one in listed}},
        process_groups=(*part.identity.process_groups, *listed),
    )
    return replace(part, communications=communications, identity=identity)


def _renamed(group: str, own: int, members: Members, several: frozenset[tuple[int, int]]) -> str:
    """The group with edges between ranks of the job; as it is where one of them is not known."""
    found = []
    for text, number in _messages(group):
        edge = inner_edge(text)
        ranks = members.get(edge.communicator, ()) if edge is not None else ()
        if edge is None or max(edge.sender, edge.receiver) >= len(ranks):
            return group
        pair = tuple(own if place < 0 else ranks[place] for place in (edge.sender, edge.receiver))
        name = f"@{edge.communicator}" if pair in several else ""
        found.append(f"{pair[0]}>{pair[1]}{name}{number}")
    return BATCH_SEPARATOR.join(found)


def _peer(group: str, own: int) -> int:
    """The one other end of all messages of a group; -1 where there are several, or none."""
    ends = {edge_of(text) for text, _ in _messages(group)}
    others = {next((end for end in edge if end != own), own) for edge in ends if edge is not None}
    return others.pop() if len(others) == 1 and None not in ends else -1
