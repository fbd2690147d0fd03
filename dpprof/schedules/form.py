"""The JSON form of a schedule: written for programs, read back identically, read with distrust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.schedules.actions import Slot, parse_slot, slot_text
from dpprof.schedules.placements import placement_fault
from dpprof.schedules.registry import schedule_definition
from dpprof.schedules.schedule import Placement, Schedule
from dpprof.system.inputs import BadInput, decode_json, read_named

MOST_MICRO_BATCHES = 1_000_000_000


class ScheduleForm(msgspec.Struct, forbid_unknown_fields=True):
    """A schedule in JSON: see `schedule_to_json`."""

    schedule: str
    pp: int
    micro_batches: int
    ranks: list[list[str]]
    stages: list[list[int]] | None = None
    streams: list[int] | None = None


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    """The schedule as JSON types; `schedule_from_json` reads it back identically.

    ``ranks`` holds each rank's slots as text (``F0.1``, ``F0.3&B1.2``), ``stages`` the stages
    that a rank runs by direction, ``streams`` the flow of micro-batches that a direction feeds.
    """
    return {
        "schedule": schedule.name,
        "pp": schedule.pp,
        "micro_batches": schedule.micro_batches,
        "ranks": [[slot_text(slot) for slot in rank] for rank in schedule.ranks],
        "stages": [list(stages) for stages in schedule.placement.stages],
        "streams": list(schedule.placement.streams),
    }


def schedule_from_json(form: object) -> Schedule:
    """Read the JSON form; the placement follows from the schedule's name where it is left out.

    Raises `DpprofError` that names the field for wrong types, unknown fields, slots that are
    none, and sizes that contradict each other. `dpprof.schedules.check` proves the rest.
    """
    try:
        read = msgspec.convert(form, ScheduleForm)
    except msgspec.ValidationError as error:
        raise DpprofError(
            f"not a schedule: {error}; write it with dpprof schedule --format json"
        ) from error
    if not 1 <= read.pp == len(read.ranks):
        raise DpprofError(
            f"pp is {read.pp} but ranks has {len(read.ranks)} entries; make both agree"
        )
    if not 1 <= read.micro_batches <= MOST_MICRO_BATCHES:
        raise DpprofError(f"micro_batches is {read.micro_batches}; it must be at least 1")
    ranks = tuple(_read_rank(pp_rank, texts) for pp_rank, texts in enumerate(read.ranks))
    return Schedule(read.schedule, read.micro_batches, _read_placement(read), ranks)


def read_schedule_file(path: Path) -> Schedule:
    """Read a schedule from a JSON file; raises `DpprofError` that names the file."""
    try:
        return schedule_from_json(decode_json(read_named(path)))
    except OSError as error:
        raise DpprofError(f"{path}: cannot be read ({error.strerror})") from error
    except (BadInput, RecursionError) as error:
        raise DpprofError(f"{path}: not JSON ({error}); give a schedule's JSON form") from error
    except DpprofError as error:
        raise DpprofError(f"{path}: {error}") from error


def _read_rank(pp_rank: int, texts: list[str]) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for text in texts:
        try:
            slots.append(parse_slot(text))
        except DpprofError as error:
            raise DpprofError(f"ranks[{pp_rank}][{len(slots)}]: {error}") from error
    return tuple(slots)


def _read_placement(read: ScheduleForm) -> Placement:
    if read.stages is None and read.streams is None:
        return schedule_definition(read.schedule).placement(read.pp)
    if read.stages is None or read.streams is None:
        raise DpprofError("only one of stages and streams is given; give both, or neither")
    placement = Placement(tuple(map(tuple, read.stages)), tuple(read.streams))
    fault = placement_fault(placement, read.pp)
    if fault is not None:
        raise DpprofError(fault)
    return placement
