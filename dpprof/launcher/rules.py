"""The rules of ``--when``: which steps to record, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dpprof.errors import DpprofError

_AT = re.compile(r"step\s*==\s*(\d{1,12})")
_EVERY = re.compile(r"step\s*%\s*(\d{1,12})\s*==\s*0")
_SLOW = re.compile(r"step_time\s*>\s*(\d{1,4}(?:\.\d+)?)\s*x?\s*\*?\s*median")
_SIGNAL = "signal"


@dataclass(frozen=True)
class WindowRule:
    """When a window's first recorded step is due: at a step, at every n-th, or after a slow one.

    `signal` is whether SIGUSR2 to ``dpprof run`` asks for a window, too.
    """

    at: int = 0
    every: int = 0
    slower_than_median: float = 0.0
    signal: bool = False

    def is_due(self, step: int) -> bool:
        """Whether step `step` (from 1) is to be the first of a window."""
        return step == self.at or (self.every > 0 and step % self.every == 0)


def read_rule(text: str) -> WindowRule:
    """Read a rule; raises `DpprofError` that shows the forms there are."""
    words = text.strip()
    if match := _AT.fullmatch(words):
        return WindowRule(at=int(match[1]))
    if (match := _EVERY.fullmatch(words)) and int(match[1]):
        return WindowRule(every=int(match[1]))
    if (match := _SLOW.fullmatch(words)) and float(match[1]) > 1:
        return WindowRule(slower_than_median=float(match[1]))
    if words == _SIGNAL:
        return WindowRule(signal=True)
    raise DpprofError(
        f"--when {text!r}: no such rule; write 'step == 2000', 'step % 1000 == 0', "
        "'step_time > 1.5x median' (a factor above 1) or 'signal'"
    )
