"""Labels that the threads of one machine wrote late: which contradictions of causality they are.

A label cannot be early, but late by as long as its thread waited for a processor: on a busy machine
a message's receive is then labelled as ended before the label of its send begins. Where one machine
timed everything, its clock is the same for all, and where numbers say what belongs together,
nothing else contradicts: the match stands. Scheduling hits few labels of a group, though. A wrong
clock, or numbers that mean something else, hit many: these are contradictions as anywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpprof.evidence.evidence import Evidence

LATE_LABELS = "late-labels"
_MOST_LATE = 0.25
"""Of a group's operations; at a load of 27 on 2 cores, 2.5 % of messages were labelled late."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Tolerance(NamedTuple):
    """What may contradict causality: by up to `ns`, and late labels if `one_machine` timed all."""

    ns: int
    one_machine: bool = False


def are_late(wrong: Mask, groups: pd.Series[Any] | npt.NDArray[Any]) -> Mask:
    """Which of the contradictions (`wrong`) are few enough of their group's to be late labels."""
    share = pd.Series(wrong).groupby(np.asarray(groups)).transform("mean")
    return wrong & (share <= _MOST_LATE).to_numpy(dtype=bool)


def late_evidence(
    ranks: npt.NDArray[np.int64], late_ns: npt.NDArray[np.int64], of: int
) -> Evidence:
    """What there is to say of operations that `late_ns` contradict; it touches no figure.

    `ranks` are those that take part in them. Of an operation only the transfer is not known, which
    counts as waiting: a matter of the few operations that are late, each by less than its length.
    """
    count = len(late_ns)
    return Evidence(
        check=LATE_LABELS,
        found=count,
        of=of,
        ranks=tuple(np.unique(ranks).tolist()),
        touches=(),
        text=f"{count} of {of} matched communications seem to end before their peers start, by up "
        f"to {late_ns.max() / 1e6:.2f} ms: one machine timed all of them and was busy, so their "
        "labels are late; they stay matched, and all of them counts as waiting",
    )
