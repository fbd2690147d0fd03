"""Shows places of a schedule in their surroundings: a few slots of each rank, the places marked."""

from __future__ import annotations

from collections.abc import Mapping

from dpprof.schedules.actions import slot_text
from dpprof.schedules.schedule import Schedule

SLOTS_AROUND = 4
RANKS_AROUND = 2


def place_grid(schedule: Schedule, places: Mapping[int, int]) -> str:
    """The ranks with a marked place, and those next to them, each from a little before the place.

    `places` maps pipeline ranks to positions in their lists of slots. A marked slot stands in
    ``>...<``; a position past the end of the list is marked ``>end<``. A row says the position
    that it starts at.
    """
    if not places:
        return ""
    nearest = {
        pp_rank: min(places, key=lambda marked: abs(marked - pp_rank))
        for pp_rank in range(schedule.pp)
    }
    return "\n".join(
        _row(schedule, pp_rank, places[marked], places.get(pp_rank))
        for pp_rank, marked in nearest.items()
        if abs(pp_rank - marked) <= RANKS_AROUND
    )


def _row(schedule: Schedule, pp_rank: int, centre: int, marked: int | None) -> str:
    slots = schedule.ranks[pp_rank]
    first = max(0, min(centre, len(slots)) - SLOTS_AROUND)
    cells = [slot_text(slot) for slot in slots[first : first + 2 * SLOTS_AROUND + 1]]
    if marked is not None:
        if marked < len(slots):
            cells[marked - first] = f">{cells[marked - first]}<"
        else:
            cells.append(">end<")
    before = "... " if first else ""
    after = " ..." if first + 2 * SLOTS_AROUND + 1 < len(slots) else ""
    return f"rank {pp_rank:>3} from slot {first:>4}: {before}{' '.join(cells)}{after}"
