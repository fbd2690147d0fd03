"""Communication whose waiting is split off on one side only: what then cannot be compared."""

from __future__ import annotations

from dpprof.analysis.metrics import COMPUTING, METRICS, WINDOW
from dpprof.gate.snapshot import FigureSnapshot
from dpprof.tables.kinds import BUBBLE_STATES, COMMUNICATION_KINDS, MEMORY, STATES

_TIMES = tuple(
    name
    for name, metric in METRICS.items()
    if metric.time is not None and "." not in name and name not in (WINDOW, COMPUTING)
)
_OF_WAITING = frozenset(
    f"{name}{ending}"
    for name in (*(one.removesuffix("_ns") for one in _TIMES), *STATES)
    if name != MEMORY
    for ending in ("_ns", "_share")
)
"""What changes where waiting counts as transfer; computing and the step do not."""


def incomparable(
    run: FigureSnapshot, baseline: FigureSnapshot, figure: str, rank: int | None
) -> str | None:
    """Why a figure of the job or a rank does not compare; None where it does.

    Where operations were not matched with their peers' (a trace is missing), their waiting counts
    as transfer: against a side that knows it, that would be a change that nobody made.
    """
    for kind in COMMUNICATION_KINDS:
        if figure not in _OF_WAITING and not figure.startswith((f"{kind}.", "critical_path.")):
            continue
        for name, side, other in (("run", run, baseline), ("baseline", baseline, run)):
            ranks = _unsplit(side, kind) - _unsplit(other, kind)
            ranks &= {place.rank for place in other.places}
            if ranks if rank is None else rank in ranks:
                named = ", ".join(map(str, sorted(ranks)))
                which = f"rank{'s' * (len(ranks) > 1)} {named}"
                return f"{kind} is unsplit in the {name} only ({which}): waiting counts as transfer"
    return None


def unsplit_figure(figure: str) -> str | None:
    """The figure of what may be added to this one, as it was not matched; None for others."""
    plain = figure.removesuffix("_ns").removesuffix("_share")
    if plain == "wait" or plain == "bubble" or plain in BUBBLE_STATES:
        return "unsplit_ns"
    kind, _, time = plain.rpartition(".")
    return f"{kind}.unsplit_ns" if time == "wait" else None


def _unsplit(snapshot: FigureSnapshot, kind: str) -> set[int]:
    """The ranks on which waiting is not told from the transfer of that kind, or not everywhere."""
    total, wait, left = (
        snapshot.ranks.get(f"{kind}.{name}_ns") for name in ("total", "wait", "unsplit")
    )
    if total is None or (wait is None and f"{kind}.wait_ns" not in snapshot.missing):
        return set()
    return {
        place.rank
        for position, place in enumerate(snapshot.places)
        if (left is not None and left.mean[position])
        or (total.mean[position] and (wait is None or wait.mean[position] is None))
    }
