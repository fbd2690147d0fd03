"""Finds the schedule that a verb's argument means: a name with sizes, or a JSON file."""

from __future__ import annotations

from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.schedules.check import check_schedule
from dpprof.schedules.form import read_schedule_file
from dpprof.schedules.registry import make_schedule, schedule_definition, schedule_summaries
from dpprof.schedules.schedule import Schedule


def find_schedule(name: str | None, pp: int | None, micro_batches: int | None) -> Schedule:
    """The schedule of that name and sizes, or the one in the file, checked.

    Raises `DpprofError`; where nothing or nothing known is named, it lists what there is.
    """
    if name is None:
        raise DpprofError(
            f"no schedule given; name one of these, or a JSON file:\n{schedule_listing()}"
        )
    if name not in schedule_summaries() and (name.endswith(".json") or Path(name).is_file()):
        return _read_checked(Path(name), pp, micro_batches)
    try:
        schedule_definition(name)
    except DpprofError as error:
        raise DpprofError(f"{error}\n{schedule_listing()}") from error
    if pp is None or micro_batches is None:
        raise DpprofError(f"{name}: give --pp and --micro-batches, as in --pp 8 --micro-batches 20")
    return make_schedule(name, pp, micro_batches)


def _read_checked(path: Path, pp: int | None, micro_batches: int | None) -> Schedule:
    schedule = read_schedule_file(path)
    for option, asked, there in (
        ("--pp", pp, schedule.pp),
        ("--micro-batches", micro_batches, schedule.micro_batches),
    ):
        if asked not in (None, there):
            raise DpprofError(f"{path}: has {option} {there}, not {asked}; leave {option} out")
    try:
        check_schedule(schedule)
    except DpprofError as error:
        raise DpprofError(f"{path}: {error}") from error
    return schedule


def schedule_listing() -> str:
    """Every schedule with its summary, a line each."""
    summaries = schedule_summaries()
    width = max(map(len, summaries))
    return "\n".join(f"  {name:<{width}}  {summary}" for name, summary in summaries.items())
