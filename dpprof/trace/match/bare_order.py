"""Operations whose traces name no process group: in which group they are, and which is which.

They are taken for those of the one group that their rank's trace lists, or, of expert-parallel
kernels, of the one that it calls so; for operations over all ranks only where no smaller group is
known. There the n-th on one rank is the n-th on another, if all ranks of the group did the same:
as many, of the same names, in the same order on their streams. Where two groups could be meant,
nothing is matched.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.tables.columns import (
    CORRELATION,
    END,
    GROUP,
    KIND,
    LANE,
    LAUNCH,
    NAME,
    RANK,
    START,
    STEP,
)
from dpprof.tables.edges import edge_of
from dpprof.tables.kinds import COMMUNICATION_KINDS
from dpprof.trace.activities.steps import OUTSIDE
from dpprof.trace.match.agreement import P2P, Mask, Numbers, row_hashes
from dpprof.trace.match.operations import ALL_RANKS, OperationPeers, Ranks
from dpprof.trace.rank.process_groups import ranks_text

_GLOO = "gloo:"
_APART_NS = 20_000
"""Further apart than the ends of one collective are, if it is not its starts that are."""
_FAR_APART_NS = 100_000
_FAR_APART_PART = 0.02
"""Further apart than the ends of one collective ever are: in all, and of its transfer, by which its
ranks are done with their parts of a long one at different times."""
_STARTS_APART = 1000
"""How much further apart than those ends its starts must be: they are no accident of two groups."""
_EXPERT_KINDS = ("dispatch", "combine")
_GENERIC = "Generic"
_EXPERT_NAMES = re.compile(r"notify|dispatch|combine", re.IGNORECASE)
_EXPERT_GROUP = re.compile(r"expert|moe|(?:^|[^a-z])ep(?:[^a-z]|$)", re.IGNORECASE)
_OTHER_GROUP = re.compile(
    r"data|replica|pipeline|(?:^|[^a-z])[dp]p(?:[^a-z]|$)|tensor_parallel", re.I
)


class Order(NamedTuple):
    """The group of each event ("" for none) and its number in it (-1), found by order."""

    group: npt.NDArray[np.object_]
    number: npt.NDArray[np.int64]


def number_by_order(
    events: pd.DataFrame, peers: OperationPeers, no_wait: npt.NDArray[np.bool_]
) -> Order:
    """Groups and numbers of the communications without metadata, by order alone.

    Message kernels are numbered only within a group of two, where a device runs them in the order
    of their issue. `no_wait` marks events that are not to be matched.
    """
    order = Order(np.full(len(events), "", dtype=object), np.full(len(events), -1, dtype=np.int64))
    rows = _bare(events, no_wait)
    if not len(rows) or len(peers.present) < 2:
        return order
    part = events.iloc[rows]
    names, kinds = part[NAME].astype(str), part[KIND].astype(str).to_numpy(dtype=object)
    expert = np.isin(kinds, _EXPERT_KINDS)
    expert |= (kinds == "comm_other") & names.str.contains(_EXPERT_NAMES).to_numpy(dtype=bool)
    members = _members(events, peers, part[RANK].to_numpy(np.int64), expert, kinds == P2P)
    keys = pd.DataFrame({"row": rows, "members": members, KIND: kinds})
    for name in (STEP, RANK, START):
        keys[name] = part[name].to_numpy()
    keys[NAME], keys[LANE] = pd.factorize(names)[0], _queues(part[LANE].astype(str), names)
    keys = keys[(keys["members"] != "") & ~_of_any_kind(kinds, names)].sort_values(
        START, kind="stable"
    )
    keys["number"] = keys.groupby([STEP, KIND, "members", RANK]).cumcount()
    kept = keys[_alike(keys, _sizes(peers))]
    order.group[kept["row"]], order.number[kept["row"]] = kept["members"], kept["number"]
    return order


def _of_any_kind(kinds: npt.NDArray[np.object_], names: pd.Series) -> Mask:
    """Kernels of which not even the kind is known: they may be messages (RCCL's `Generic`)."""
    generic = names.str.contains(_GENERIC, regex=False).to_numpy(dtype=bool)
    return np.asarray(generic & (kinds == "comm_other"), dtype=bool)


def _queues(lanes: pd.Series, names: pd.Series) -> npt.NDArray[np.intp]:
    """Where each is queued: on its stream; with gloo in one queue that many threads take from."""
    return pd.factorize(lanes.mask(names.str.startswith(_GLOO), _GLOO))[0]


def match_by_order(
    events: pd.DataFrame, peers: OperationPeers, no_wait: npt.NDArray[np.bool_]
) -> Order:
    """`number_by_order`, but for what contradicts causality.

    A collective cannot end before its last participant has started: where one does, nothing of
    its step, kind and group is matched. Nor where, of all ranks, it ends on them apart.
    """
    order = number_by_order(events, peers, no_wait)
    rows = np.flatnonzero(order.number >= 0)
    if not len(rows):
        return order
    keys = events.iloc[rows][[STEP, KIND, START, END]].astype({KIND: object})
    keys = keys.assign(number=order.number[rows], group=order.group[rows])
    latest = keys.groupby([STEP, KIND, "group", "number"])[START].transform("max")
    usable = (latest < keys[END]).groupby([keys[STEP], keys[KIND], keys["group"]]).transform("all")
    wrong = rows[~(usable.to_numpy() & _ends_together(keys, events[CORRELATION].to_numpy()[rows]))]
    order.group[wrong], order.number[wrong] = "", -1
    return order


def _ends_together(keys: pd.DataFrame, correlation: Numbers) -> Mask:
    """Whether collectives over all ranks, if that is what they are, end as such: together.

    Ranks that start a collective apart end it together. Where one's ends are as far apart as its
    starts, it waited for nobody: it is several, of smaller groups, or clocks differ. Then none of
    its step and kind is certain. Threads of a CPU end when they are scheduled, and say nothing.
    """
    one = [STEP, KIND, "group"]
    keys = keys.assign(transfer=keys[END] - keys[START])
    spread = keys.groupby([*one, "number"]).agg({START: np.ptp, END: np.ptp, "transfer": "min"})
    spread = spread.reset_index()
    apart = (spread[END] > _APART_NS) & (spread[END] * 3 > spread[START])
    most = np.minimum(_FAR_APART_PART * spread["transfer"], spread[START] / _STARTS_APART)
    apart |= spread[END] > np.maximum(_FAR_APART_NS, most)
    found = pd.MultiIndex.from_frame(keys[one]).isin(pd.MultiIndex.from_frame(spread[apart][one]))
    guessed = ((keys["group"] == ALL_RANKS) & (keys[KIND] != P2P)).to_numpy(dtype=bool)
    return np.asarray(~(found & guessed & (correlation >= 0)), dtype=bool)


def _bare(events: pd.DataFrame, no_wait: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    bare = (events[GROUP] == "") & events[KIND].isin(COMMUNICATION_KINDS)
    bare &= (events[STEP] != OUTSIDE) & ((events[KIND] != P2P) | (events[LAUNCH] >= 0))
    return np.flatnonzero(bare & ~no_wait)


def _members(
    events: pd.DataFrame,
    peers: OperationPeers,
    ranks: npt.NDArray[np.int64],
    expert: npt.NDArray[np.bool_],
    message: npt.NDArray[np.bool_],
) -> npt.NDArray[np.object_]:
    """The name of the group that each event is taken to be of; "" where none is certain."""
    smaller = _smaller_than_world(events, peers)
    found: dict[tuple[int, bool, bool], str] = {}
    keys = list(zip(ranks.tolist(), expert.tolist(), message.tolist(), strict=True))
    for rank, of_experts, is_message in set(keys):
        members = _group_of(rank, peers, of_experts=of_experts, smaller=smaller)
        usable = set(members) <= set(peers.present) and (not is_message or len(members) == 2)
        found[rank, of_experts, is_message] = _name(members, peers) if usable else ""
    return np.array([found[key] for key in keys], dtype=object)


def _group_of(rank: int, peers: OperationPeers, *, of_experts: bool, smaller: bool) -> Ranks:
    own = peers.own(rank).groups
    called = {group.ranks for group in own if of_experts and _is_of_experts(group.description)}
    sets = called or {group.ranks for group in own}
    if len(sets) > 1:
        return ()
    members = next(iter(sets)) if sets else tuple(range(peers.world_size))
    if called or len(members) < peers.world_size:
        return members
    return () if smaller or peers.world_size < 2 else members


def _is_of_experts(description: str) -> bool:
    """Whether a group's description says that experts are spread over it, and nothing else."""
    is_other = _OTHER_GROUP.search(description.replace("TENSOR_AND_MODEL", ""))
    return _EXPERT_GROUP.search(description) is not None and is_other is None


def _smaller_than_world(events: pd.DataFrame, peers: OperationPeers) -> bool:
    """Whether any group of several ranks is known that is not the whole world."""
    listed = {group.ranks for groups in peers.listed.values() for group in groups}
    listed |= {ranks for groups in peers.groups.values() for ranks in groups.values()}
    if any(1 < len(ranks) < peers.world_size for ranks in listed):
        return True
    named = events[(events[GROUP] != "") & events[KIND].isin(COMMUNICATION_KINDS[1:])]
    users = named.groupby(named[GROUP].astype(str))[RANK].nunique()
    several = users[(users > 1) & (users < len(peers.present))]
    return any(edge_of(str(group)) is None for group in several.index)


def _name(members: Ranks, peers: OperationPeers) -> str:
    if not members:
        return ""
    return ALL_RANKS if len(members) >= peers.world_size else ranks_text(members)


def _sizes(peers: OperationPeers) -> dict[str, int]:
    sets = {group.ranks for groups in peers.listed.values() for group in groups}
    return {ranks_text(ranks): len(ranks) for ranks in sets} | {ALL_RANKS: len(peers.present)}


def _alike(keys: pd.DataFrame, sizes: dict[str, int]) -> npt.NDArray[np.bool_]:
    """Which rows are of a step, kind and group of which every member did the same."""
    if keys.empty:
        return np.zeros(0, dtype=bool)
    number = keys["number"].to_numpy(np.int64)
    frame = keys[[STEP, KIND, "members", RANK, LANE]].assign(rows=1)
    frame["names"] = row_hashes(number, keys[NAME].to_numpy(np.int64))
    frame["lanes"] = row_hashes(number, keys[LANE].to_numpy(np.int64))
    group = [STEP, KIND, "members"]
    by_rank = frame.groupby([*group, RANK]).agg(
        {"rows": "sum", "names": "sum", "lanes": "sum", LANE: "nunique"}
    )
    by_group = by_rank.reset_index().groupby(group)
    same = by_group[["rows", "names", "lanes"]].nunique() == 1
    everyone = by_group[RANK].nunique() == [sizes[one[2]] for one in same.index]
    fine = same["rows"] & same["names"] & (same["lanes"] | (by_group[LANE].max() == 1)) & everyone
    wanted = pd.MultiIndex.from_frame(keys[group])
    return fine.reindex(wanted).to_numpy(dtype=bool)
