"""How a figure that is known in part is written."""

from __future__ import annotations

from dpprof.analysis.figures import KindFigures, TimeFigures

_SIGNS = {"at_least": "≥", "at_most": "≤"}
_WORDS = {"at_least": "at least", "at_most": "at most"}
BOUNDS = (
    "≥ at least, ≤ at most: part of the communication was not matched, and may have been waiting"
)


def is_partial(figures: TimeFigures | KindFigures) -> bool:
    """Whether any of the figures is known in part."""
    return bool(figures.bounds)


def bounded(text: str, name: str, figures: TimeFigures | KindFigures) -> str:
    """A figure as text, with the sign of what it is a bound of where it is known in part."""
    bound = figures.bounds.get(name) if figures.bounds else None
    return f"{_SIGNS[bound]}{text}" if bound else text


def bound_words(name: str, figures: TimeFigures | KindFigures) -> str:
    """``at least`` or ``at most``; empty where the figure is known."""
    bound = figures.bounds.get(name) if figures.bounds else None
    return _WORDS[bound] if bound else ""
