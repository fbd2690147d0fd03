"""Names of kernels and labels as they are shown."""

from __future__ import annotations

from dpprof.reporters.report.kinds import short_name


def shown_name(name: str, longest: int) -> str:
    """The name; of one that is too long what says most, without its C++ arguments.

    A short name stays whole: ``mlp(F)`` and ``mlp(W)`` are not the same.
    """
    return name if len(name) <= longest else short_name(name, longest)
