"""Waiting is told from transferring on both sides of a diff, or on neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from dpprof.analysis.diff.restricted_run import Channel, channels, restricted
from dpprof.runs.run import Run
from dpprof.tables.columns import READY, STEP

_Pairs = Sequence[tuple[int, int]]
_Shares = Mapping[Channel, float]
"""Channel, with BASE's number of the rank -> share of its operations that are unsplit."""


def alike_split(base: Run, new: Run, pairs: _Pairs) -> tuple[Run, Run, list[str]]:
    """Waiting counts as transfer on both sides where one side cannot tell it apart, and notes.

    Where ranks correspond and do the same stages, that is just the communication (rank, kind and
    group) of which a side has anything unsplit: messages to a rank whose trace is missing, say.
    Else it is the whole kind, as what corresponds to the unsplit communication is not known.
    """
    own = {new_rank: base_rank for base_rank, new_rank in pairs}
    shares = _shares(base, {}), _shares(new, own)
    chosen = _chosen(*shares, _same_stages(base, new, pairs))
    first = _changed(base, shares[0], chosen, {})
    second = _changed(new, shares[1], chosen, dict(pairs))
    return first, second, _notes(*shares, chosen)


def _shares(run: Run, number: Mapping[int, int]) -> _Shares:
    rows = run.held.communications
    rows = rows[rows[STEP].isin(run.used_steps)]
    if rows.empty:
        return {}
    own, inverse = channels(rows)
    shares = (rows[READY] < 0).groupby(inverse).mean()
    return {
        channel._replace(rank=number.get(channel.rank, channel.rank)): float(share)
        for channel, share in zip(own, shares, strict=True)
    }


def _same_stages(base: Run, new: Run, pairs: _Pairs) -> bool:
    """Whether each rank does on NEW what it does on BASE, as far as is known."""
    first, second = ({place.rank: place.stages for place in run.places} for run in (base, new))
    return bool(pairs) and all(first[one] == second[other] for one, other in pairs)


def _chosen(base: _Shares, new: _Shares, same_stages: bool) -> frozenset[Channel]:
    """The communication of which waiting is told apart on neither side."""
    lacking = {channel for side in (base, new) for channel in side if side[channel] > 0}
    only_one = {channel.kind for channel in base.keys() ^ new.keys()}
    whole = {channel.kind for channel in lacking if not same_stages or channel.kind in only_one}
    return frozenset(
        channel
        for channel in base.keys() | new.keys()
        if channel in lacking or channel.kind in whole
    )


def _changed(run: Run, shares: _Shares, chosen: Set[Channel], number: Mapping[int, int]) -> Run:
    unsplit = {
        channel._replace(rank=number.get(channel.rank, channel.rank))
        for channel in chosen
        if shares.get(channel, 1) < 1
    }
    ranks = frozenset(place.rank for place in run.places)
    return restricted(run, ranks, unsplit) if unsplit else run


def _notes(base: _Shares, new: _Shares, chosen: Set[Channel]) -> list[str]:
    """What is not told apart though a side could, said once for kinds of which the same holds."""
    said: dict[tuple[str, str], list[str]] = {}
    for kind in sorted({channel.kind for channel in chosen}):
        ours = {channel for channel in chosen if channel.kind == kind}
        if any(side.get(channel, 1) < 1 for side in (base, new) for channel in ours):
            every = {one for one in base.keys() | new.keys() if one.kind == kind}
            said.setdefault((_where(ours, every), _who(base, new, ours)), []).append(kind)
    return [
        f"{', '.join(kinds)}{where}: {who} not tell waiting from transferring, so waiting counts "
        "as transfer on both sides"
        for (where, who), kinds in said.items()
    ]


def _where(chosen: Set[Channel], every: Set[Channel]) -> str:
    if chosen == every:
        return ""
    ranks = sorted({channel.rank for channel in chosen})
    of = f" of rank{'s' * (len(ranks) != 1)} {', '.join(map(str, ranks))}"
    parts = {channel for channel in every if channel.rank in ranks} - chosen
    return f"{of} in {_groups(chosen)}" if parts else of


def _groups(chosen: Set[Channel]) -> str:
    return ", ".join(sorted({channel.group or "no group" for channel in chosen}))


def _who(base: _Shares, new: _Shares, chosen: Set[Channel]) -> str:
    lacking = [any(side.get(channel, 0) > 0 for channel in chosen) for side in (base, new)]
    if all(lacking):
        return "some of it on either side does"
    return "BASE does" if lacking[0] else "NEW does"
