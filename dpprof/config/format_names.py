"""The names of formats: ours, and those that packages declare under `GROUP`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "dpprof.formats"

_OWN = ("table", "json", "markdown", "html")


@cache
def declared_formats() -> dict[str, EntryPoint]:
    """What packages declare; none of it is loaded, and no name of ours is taken."""
    return {one.name: one for one in entry_points(group=GROUP) if one.name not in _OWN}


def format_names() -> tuple[str, ...]:
    """Names of the formats that every verb that reports has, the default first."""
    return (*_OWN, *sorted(declared_formats()))
