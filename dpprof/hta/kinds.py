"""Makes HTA take our word for what communicates: it goes by the names of kernels.

HTA 0.5.0 keeps the patterns of these names in ``hta.utils.utils``, for the whole process; names
that no run has handed over are still judged by its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dpprof.hta.frames import CLASS, COMMUNICATION, COMPUTATION
from dpprof.tables.kinds import MEMORY

_PATTERNS = {
    "NCCL_KERNEL_RE": (COMMUNICATION,),
    "MEMORY_KERNEL_RE": (MEMORY,),
    # HTA's pattern of what is no computation.
    "NCCL_COMPUTE_KERNEL_RE": (COMMUNICATION, MEMORY),
}


class KnownNames:
    """Stands in for a compiled pattern: known names match by their class, others as before."""

    def __init__(self, classes: Mapping[str, str], wanted: tuple[str, ...], otherwise: Any) -> None:
        self.classes = classes
        self.wanted = wanted
        self.otherwise = otherwise

    def match(self, name: str) -> object | None:
        """Something true where the name is of a wanted class."""
        known = self.classes.get(name)
        if known is None:
            return self.otherwise.match(name)  # type: ignore[no-any-return]
        return name if known in self.wanted else None


class CommunicationName(str):
    """The name of something that communicates: HTA looks for stragglers in ``ncclKernel...``."""

    __slots__ = ()

    def startswith(self, *arguments: Any) -> bool:
        """Also true for the one prefix that HTA asks for."""
        return arguments == ("ncclKernel",) or super().startswith(*arguments)


def use_kinds(classes: Mapping[str, str]) -> None:
    """Put the class of each kernel's name in force in HTA, beside those of earlier runs."""
    import hta.utils.utils as names

    for pattern, wanted in _PATTERNS.items():
        before = getattr(names, pattern)
        if isinstance(before, KnownNames):
            known = KnownNames({**before.classes, **classes}, wanted, before.otherwise)
        else:
            known = KnownNames(dict(classes), wanted, before)
        setattr(names, pattern, known)


def name_by_class(frames: Mapping[int, pd.DataFrame]) -> dict[str, str]:
    """Make every name of the device be of one class, and give the class of each.

    Where a name is of several (its context decided), that which took less time gets its class as
    a suffix. Changes the column ``name`` of the frames, and takes ``class`` out of them.
    """
    device = pd.concat(
        [frame.loc[frame[CLASS] != "", ["name", CLASS, "dur"]] for frame in frames.values()]
    )
    time = device.groupby(["name", CLASS])["dur"].sum().reset_index()
    time = time.sort_values(["name", "dur", CLASS], kind="stable")
    classes = dict(zip(time["name"], time[CLASS], strict=True))
    for frame in frames.values():
        said = frame.pop(CLASS)
        other = (said != "") & (said != frame["name"].map(classes))
        frame.loc[other, "name"] += " (" + said[other] + ")"
        classes |= dict(zip(frame.loc[other, "name"], said[other], strict=True))
    return {name: classes.get(name, COMPUTATION) for name in classes}
