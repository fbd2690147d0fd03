"""What idle time waits for, and what claims it, as facts in columns; `reporters` make the words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpprof.tables.intervals import EMPTY, Intervals, first_come

INPUT = "input"
RECEIVER = "receiver"
COLLECTIVE = "collective"
LAUNCH = "launch"
HOST = "host"
CAUSE_KINDS = (INPUT, RECEIVER, COLLECTIVE, LAUNCH, HOST)
"""An input that a peer had not sent; a peer that had not begun to receive; a collective that not
all had joined; work that was launched late; what the host did beside launching."""

_Chosen = npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice


@dataclass(frozen=True)
class Causes:
    """One array per column, all of one length.

    `names` has what was waited for: the action that makes an input (``F0.3``), also of what a
    receiver waits to take; the kind of a collective; the name of what came late or of what the
    host did. `ranks` is the peer (-1: none is known), `groups` that of the communication. Empty
    text is "not known".
    """

    kinds: npt.NDArray[np.object_]
    names: npt.NDArray[np.object_]
    ranks: npt.NDArray[np.int32]
    groups: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.ranks)

    def __getitem__(self, chosen: _Chosen) -> Causes:
        """Those of the chosen rows."""
        return Causes(
            self.kinds[chosen], self.names[chosen], self.ranks[chosen], self.groups[chosen]
        )


def causes_of(
    kind: str,
    count: int,
    names: npt.NDArray[np.object_] | None = None,
    ranks: npt.NDArray[np.int32] | None = None,
) -> Causes:
    """So many causes of one kind, without groups."""
    nothing = np.full(count, "", dtype=object)
    return Causes(
        kinds=np.full(count, kind, dtype=object),
        names=nothing if names is None else names,
        ranks=np.full(count, -1, dtype=np.int32) if ranks is None else ranks,
        groups=nothing,
    )


NO_CAUSES = causes_of("", len(EMPTY.starts))


@dataclass(frozen=True)
class Claims:
    """Disjoint sorted `pieces` of time that are `state` if the rank is idle there.

    Row i of `causes` is what piece i waits for. Claims of one rank and step come in a list, the
    strongest first. With `anywhere`, they hold before the first and after the last computation too.
    """

    state: str
    pieces: Intervals
    causes: Causes
    anywhere: bool = False


def make_claims(state: str, spans: Intervals, causes: Causes, *, anywhere: bool = False) -> Claims:
    """Claims from spans in any order; where spans overlap, the one that began first wins.

    `causes` has one row per span.
    """
    pieces, owner = first_come(spans)
    return Claims(state, pieces, causes[owner], anywhere)


NO_CLAIMS = make_claims("", EMPTY, NO_CAUSES)
